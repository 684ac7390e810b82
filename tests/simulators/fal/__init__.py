"""A fal.ai that renders on nothing, faithful to what clients see on the wire, with a clock that can be moved.

`FalSimulator` runs it inside a test; `python -m tests.simulators.fal --port 7950` runs it as a server.

Documented by fal (queue and webhook guides, platform headers, request errors, OpenAPI of the platform) or read from
the source of its Python client: addresses and bodies of submit, status, result and cancel; statuses 202 and 200;
subpaths only at submit; error forms and X-Fal-Error-Type, X-Fal-Retryable; X-Fal-Request-Timeout ending what was not
started (504, X-Fal-Request-Timeout-Type); waiting in line above the concurrency limit; uploads by token, by signed
address and in pieces; the lifecycle header; webhook bodies, their signature and ten attempts; the platform's rows for
requests, charges, usage, prices and balance; nothing billed for errors of the server; fields, defaults and prices of
the models in `models.py`.

Inferred, because it is written nowhere or known only from reports: that a submit is not validated and bad input fails
as the result's 422 (`validate_at_submit` turns it round); 400 for a result that is not ready; that a running request
asked to cancel runs to its end and is billed (`cancel_running`: fal only signals the model, which may stop or not);
499 and client_cancelled for one taken from the queue; how charges translate into X-Fal-Billable-Units (charge / unit
price of the list); that requests which still run are in the history, without an end; the words of most errors; the
size of a video in pixels for a named resolution.

Not simulated: fal.run without the queue, streams of status events, realtime sockets, serverless apps.
"""

from tests.simulators.fal.simulator import FalSimulator

__all__ = ["FalSimulator"]

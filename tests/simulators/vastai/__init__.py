"""A vast.ai that rents nothing, faithful to what clients see on the wire, with a clock that can be moved.

`VastSimulator` runs it inside a test; `python -m tests.simulators.vastai --port 7900` runs it as a server.
"""

from tests.simulators.vastai.lease import DeadManSwitch
from tests.simulators.vastai.simulator import VastSimulator

__all__ = ["DeadManSwitch", "VastSimulator"]

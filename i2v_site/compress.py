"""Pages and answers in JSON go out compressed."""

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.gzip import GZipMiddleware

TEXT = ("text/", "application/json", "application/manifest+json", "application/vnd.oai.openapi")


class TextGZipMiddleware(GZipMiddleware):
    """Django's, for whole texts only: streams, files and parts of files go out as they are.

    BREACH: an attacker who sees how long compressed pages are must not learn a secret in them. Django masks the CSRF
    token anew in every answer and adds up to 100 random bytes to each compressed one; a new API token is shown once,
    on a page that is not kept and repeats nothing from its address.
    """

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        kind = response.headers.get("Content-Type", "")
        if response.streaming or response.status_code == 206 or not kind.startswith(TEXT):
            return response
        return super().process_response(request, response)

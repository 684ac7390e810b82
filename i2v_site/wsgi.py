"""The web process: pages and API under granian."""

import os
import tempfile
from collections.abc import Callable, Iterable
from typing import IO, Any

from django.conf import settings
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "i2v_site.settings")

_PIECE = 64 * 1024
_IN_MEMORY = 1024 * 1024


class WholeBody:
    """A body that ends before its announced length is an error: half of a request may look like a whole one."""

    def __init__(self, source: Any, size: int) -> None:
        self._source, self._left = source, size

    def read(self, size: int = -1) -> bytes:
        wanted = self._left if size < 0 else min(size, self._left)
        pieces = []
        while wanted:
            pieces.append(self._some(self._source.read(wanted)))
            wanted -= len(pieces[-1])
        return b"".join(pieces)

    def readline(self, size: int = -1) -> bytes:
        return self._some(self._source.readline(size)) if size and self._left else b""

    def _some(self, piece: bytes) -> bytes:
        if not piece:
            raise OSError("The body ended too early.")
        self._left -= len(piece)
        return piece


class KnownLength:
    """Gives a body without Content-Length (chunked, HTTP/2) one, because Django reads such a body as empty."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self.application = application

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if (announced := environ.get("CONTENT_LENGTH", "")).isdigit():
            environ["wsgi.input"] = WholeBody(environ["wsgi.input"], int(announced))
            return self.application(environ, start_response)
        if environ["REQUEST_METHOD"] in ("GET", "HEAD", "OPTIONS"):
            return self.application(environ, start_response)
        # Not closed here: the answer may still be read from it; it goes with the request.
        body = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115
        # One piece over the limit is enough: the announced length makes the parsers refuse the rest unread.
        environ["CONTENT_LENGTH"] = str(_copy(environ["wsgi.input"], body, settings.DATA_UPLOAD_MAX_MEMORY_SIZE))
        body.seek(0)
        environ["wsgi.input"] = body
        return self.application(environ, start_response)


def _copy(source: Any, target: IO[bytes], limit: int) -> int:
    size = 0
    while size <= limit and (piece := source.read(_PIECE)):
        size += target.write(piece)
    return size


application = KnownLength(get_wsgi_application())

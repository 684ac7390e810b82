"""Fetch a picture from an address that somebody gave, over the guarded transport only."""

import re
import ssl
from collections.abc import Iterator

import httpx
from django.conf import settings
from django.utils.translation import gettext as _

from generation.errors import PictureRefused
from generation.services.decoding import refused
from gpu.clients.guarded import AddressRefused, AnswerRefused, Policy, check_syntax, guarded_client, port_of

_HEADER_BYTES = 64 * 1024

# A name of at least two parts whose last one starts with a letter: no spelling of a number fits.
_DOMAIN = re.compile(r"(?:[a-z0-9_-]+\.)+[a-z][a-z0-9-]*\.?")
_WORTH_A_RETRY = {408, 425, 429, 500, 502, 503, 504}


class PictureUnreachable(Exception):
    """No answer for now; the same address may work later."""


def check_image_url(url: str) -> None:
    """Whether `url` may be fetched, by its text alone: https, port 443, a domain name, no user part.

    Raises PictureRefused (field "image_url"). Where the name leads is judged when it is fetched.
    """
    try:
        parsed = check_syntax(url, _policy(), allow_query=True)
    except AddressRefused as exc:
        raise _refused(exc.code, _syntax_sentence(exc)) from exc
    host = parsed.raw_host.decode("ascii")
    if parsed.scheme != "https":
        raise _refused("scheme", _("The picture's address must start with https://."))
    if not _DOMAIN.fullmatch(host) and not _policy().is_private_host(host, port_of(parsed)):
        raise _refused("invalid", _("The picture's address must have a domain name, not a number."))


def download(url: str, *, total_timeout_s: float) -> Iterator[bytes]:
    """The picture's bytes as they come. Redirects are not followed.

    Raises PictureRefused when asking again would not help, PictureUnreachable when it might.
    """
    check_image_url(url)
    limit = settings.PICTURE_MAX_BYTES + _HEADER_BYTES
    try:
        with (
            guarded_client(_policy(), total_timeout_s=total_timeout_s, max_bytes=limit) as client,
            client.stream("GET", url, headers={"Accept": "image/jpeg, image/png, image/webp"}) as answer,
        ):
            _check_answer(answer)
            yield from answer.iter_raw(64 * 1024)
    except AddressRefused as exc:
        raise _refused(exc.code, exc.message) from exc
    except AnswerRefused as exc:
        raise (refused("too_big") if exc.code == "too_large" else _refused(exc.code, exc.message)) from exc
    except httpx.HTTPError as exc:
        raise PictureUnreachable from exc


def _check_answer(answer: httpx.Response) -> None:
    if answer.status_code in _WORTH_A_RETRY:
        raise PictureUnreachable
    if answer.is_redirect:
        raise _refused("redirect", _("The picture's address leads on to another one: give that one instead."))
    if answer.status_code != 200:
        raise _refused(
            "http_error",
            _("The picture's server answered %(status_code)s instead of a picture.")
            % {"status_code": answer.status_code},
        )
    if not answer.headers.get("content-type", "").strip().lower().startswith("image/"):
        raise _refused("not_a_picture", _("The address does not lead to a picture."))


def _policy() -> Policy:
    """Public servers on port 443, and what the operator has named in IMAGE_URL_PRIVATE_HOSTS."""
    return Policy(
        private_hosts=frozenset(settings.IMAGE_URL_PRIVATE_HOSTS),
        ports=frozenset({443}),
        ssl_context=_trusting(settings.IMAGE_URL_CA) if settings.IMAGE_URL_CA else None,
    )


def _trusting(authority: str) -> ssl.SSLContext:
    context = httpx.create_ssl_context(trust_env=False)
    context.load_verify_locations(cadata=authority)
    return context


def _refused(code: str, message: str) -> PictureRefused:
    return PictureRefused(message, code=code, field="image_url")


def _syntax_sentence(refusal: AddressRefused) -> str:
    return {
        "invalid": _("This is not the address of a picture: write it like https://example.com/picture.jpg."),
        "scheme": _("The picture's address must start with https://."),
        "port": _("The picture's address must use port 443."),
    }.get(refusal.code, refusal.message)

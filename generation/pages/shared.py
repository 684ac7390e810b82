"""What other people see at a link: the video, what made it, and where to report it; never whose it is."""

from http import HTTPStatus
from typing import Any, cast

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from generation.errors import LinkGone, SignInFirst
from generation.models import Attempt, ShareLink, VideoJob
from generation.pages.credentials import credentials_of
from generation.pages.films import Film, clip_film, film_of, label_of
from generation.pages.naming import file_name
from generation.services.links import link as link_to
from generation.services.sharing import Shared, count_view, opened

_SEEN = "seen_links"
# A session remembers so many links that it has been counted for.
_REMEMBERED = 200
_PRIVATE = {
    "Cache-Control": "private, no-store",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow",
}


@require_safe
def page(request: HttpRequest, token: str) -> HttpResponse:
    try:
        shared = opened(token=token, viewer=request.user)
    except SignInFirst:
        return _private(redirect_to_login(request.get_full_path()))
    except LinkGone:
        return _gone(request)
    _count(request, shared.link)
    return _private(render(request, "generation/share.html", _context(request, shared)))


@require_safe
def media(request: HttpRequest, token: str, kind: str) -> HttpResponse:
    """The file or its poster, by a short-lived address; the file to keep only where the owner allows it."""
    try:
        shared = opened(token=token, viewer=request.user)
    except (SignInFirst, LinkGone):
        return _gone(request)
    key = {"video": shared.key, "poster": shared.poster_key, "download": shared.key}.get(kind)
    if not key or (kind == "download" and not shared.link.allows_download):
        return _gone(request)
    name = _download_name(shared) if kind == "download" else ""
    return _private(HttpResponseRedirect(link_to(key, download_name=name)))


def _download_name(shared: Shared) -> str:
    ending = shared.key.rpartition(".")[2]
    if shared.job and shared.link.shows_prompt:
        return file_name(shared.job, ending)
    return f"video-{shared.link.token[:6].strip('-_')}.{ending}"


def _gone(request: HttpRequest) -> HttpResponse:
    return _private(render(request, "generation/share_gone.html", status=HTTPStatus.NOT_FOUND))


def _private(answer: HttpResponse) -> HttpResponse:
    for name, value in _PRIVATE.items():
        answer[name] = value
    return answer


def _count(request: HttpRequest, link: ShareLink) -> None:
    """One view for a session, none for the owner and for programs that only look at the head."""
    seen = request.session.get(_SEEN, [])
    if request.method == "HEAD" or request.user == link.owner or str(link.pk) in seen:
        return
    request.session[_SEEN] = [*seen, str(link.pk)][-_REMEMBERED:]
    count_view(link=link)


def _context(request: HttpRequest, shared: Shared) -> dict[str, Any]:
    token = shared.link.token
    prompt = shared.job.prompt if shared.job and shared.link.shows_prompt else ""
    poster = reverse("shared_media", args=[token, "poster"]) if shared.poster_key else ""
    return {
        "shared": shared,
        "film": _film(shared, poster),
        "prompt": prompt,
        "title": prompt or _("A video made by software"),
        "address": request.build_absolute_uri(reverse("shared", args=[token])),
        # Programs that draw previews come without signing in.
        "preview": request.build_absolute_uri(poster) if poster and _is_open(shared.link) else "",
        "download": reverse("shared_media", args=[token, "download"]) if shared.link.allows_download else "",
        "alt_text": shared.job.alt_text if shared.job else "",
        "credentials": credentials_of(_attempt(shared)),
    }


def _is_open(link: ShareLink) -> bool:
    return link.audience == ShareLink.Audience.ANYONE


def _film(shared: Shared, poster: str) -> Film:
    address = reverse("shared_media", args=[shared.link.token, "video"])
    shows = shared.link.shows_prompt
    if shared.clip is not None:
        part = shared.clip.parts.select_related("job").first()
        label = label_of(part.job, shows_prompt=False) if part else ""
        return clip_film(shared.clip, address=address, poster=poster, label=label)
    job = cast(VideoJob, shared.job)  # a link shows one thing, says the database
    return film_of(job, _attempt(shared), shows_prompt=shows).at(address, poster)


def _attempt(shared: Shared) -> Attempt | None:
    return shared.job.attempts.last() if shared.job else None

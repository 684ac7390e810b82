"""What belongs to the site as a whole: its language, its scripts' texts, and what makes it an installable app."""

import hashlib
import json
from functools import cache

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.templatetags.static import static
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _
from django.views.decorators.cache import cache_control, never_cache
from django.views.decorators.http import require_POST, require_safe
from django.views.i18n import JavaScriptCatalog, set_language

from generation.services.preferences import change_preferences

# What a page needs to look right; the names carry digests, so another version of a file is another name.
SHELL = (
    "generation/app.css",
    "generation/core.js",
    "generation/offline.js",
    "generation/icon.svg",
)
ICONS = (("any", 192), ("any", 512), ("maskable", 512))


@require_POST
def choose_language(request: HttpRequest) -> HttpResponse:
    """Keep the language in a cookie; for a person who is signed in, also as that of their mails."""
    chosen = request.POST.get("language", "")
    if chosen in dict(settings.LANGUAGES) and request.user.is_authenticated:
        change_preferences(person=request.user, language=chosen)
    response: HttpResponse = set_language(request)
    return response


class _Texts(JavaScriptCatalog):
    """Only our own scripts' texts: the admin brings its own."""

    domain = "djangojs"
    packages = ["ours"]

    def get_paths(self, packages: object) -> list[str]:
        del packages
        return [str(path) for path in settings.LOCALE_PATHS]


@require_safe
@cache_control(public=True, max_age=31_536_000, immutable=True)
def texts(request: HttpRequest, language: str, version: str) -> HttpResponseBase:
    """The scripts' texts in one language. What changes them changes `version`, so they may be kept for ever."""
    if language not in dict(settings.LANGUAGES) or version != texts_version():
        raise Http404
    with translation.override(language):
        return _Texts.as_view()(request)


@cache
def texts_version() -> str:
    """A digest of what the scripts' texts are made of."""
    files = sorted(file for path in settings.LOCALE_PATHS for file in path.glob("*/LC_MESSAGES/djangojs.mo"))
    return _digest(settings.VERSION.encode(), *(file.read_bytes() for file in files))


@require_safe
@cache_control(max_age=3600)
def manifest(_request: HttpRequest) -> HttpResponse:
    """What the site is called and looks like when it is installed."""
    icons: list[dict[str, str]] = [{"src": static("generation/icon.svg"), "sizes": "any", "type": "image/svg+xml"}]
    for purpose, size in ICONS:
        name = "icon" if purpose == "any" else "icon-maskable"
        icons.append(
            {
                "src": static(f"generation/icons/{name}-{size}.png"),
                "sizes": f"{size}x{size}",
                "type": "image/png",
                "purpose": purpose,
            }
        )
    content = {
        "id": "/",
        "name": _("Image to Video"),
        "short_name": _("Image to Video"),
        "description": _("Give a picture and a sentence, get a video."),
        "lang": translation.get_language(),
        "dir": "rtl" if translation.get_language_bidi() else "ltr",
        "start_url": reverse("create"),
        "scope": "/",
        "display": "standalone",
        "background_color": "#fbfaf8",
        "theme_color": "#5145cd",
        "icons": icons,
        "shortcuts": [
            {"name": _("Create a video"), "url": reverse("create")},
            {"name": _("Library"), "url": reverse("library")},
        ],
    }
    return JsonResponse(content, content_type="application/manifest+json")


@require_safe
@cache_control(no_cache=True)
def service_worker(request: HttpRequest) -> HttpResponse:
    """The script that answers when there is no network. It keeps only what is the same for everybody."""
    shell = [static(name) for name in SHELL]
    page = offline(request).content
    context = {"shell": json.dumps(shell), "version": _digest(json.dumps(shell).encode(), page)}
    return render(request, "sw.js", context, content_type="text/javascript; charset=utf-8")


@require_safe
@never_cache
def offline(_request: HttpRequest) -> HttpResponse:
    """Shown when there is no network, whoever is signed in: nobody's name stands in it."""
    # Without the request: the page is kept in the browser.
    return render(None, "offline.html")


def _digest(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:12]

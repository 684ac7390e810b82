"""Every address of the site; the apps bring their own."""

from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from i2v_site import (
    access,
    health,
    openapi,  # noqa: F401 (registers how the API's sign-in is described)
)

# One door: the admin sends people to the ordinary sign-in, where the second factor is asked for.
admin.site.login = access.admin_door  # type: ignore[method-assign]
admin.site.site_header = "Image to Video"
admin.site.site_title = "Image to Video"

urlpatterns = [
    path("health", health.health, name="health"),
    path("ready", health.ready, name="ready"),
    path("admin/", admin.site.urls),
    path("account/", include("allauth.urls")),
    path("api/schema", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
    path("", include("generation.api.hook_urls")),
    path("api/", include("gpu.api.urls")),
    path("api/", include("generation.api.urls")),
    path("", include("generation.pages.urls")),
]

handler400 = "i2v_site.api.bad_request"
handler403 = "i2v_site.api.permission_denied"
handler404 = "i2v_site.api.page_not_found"
handler500 = "i2v_site.api.server_error"

"""Where providers call us."""

from django.urls import path

from generation.api.fal_hook import fal_hook

urlpatterns = [path("hooks/fal/<str:nonce>", fal_hook, name="fal_hook")]

"""One's own queue: what is in it, in which order, and changing one's mind."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []

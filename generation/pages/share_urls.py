"""Links at which other people see a video."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []

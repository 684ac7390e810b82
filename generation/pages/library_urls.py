"""Finding, tagging, comparing and packing one's videos."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []

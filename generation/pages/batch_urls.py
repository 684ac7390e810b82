"""Several videos at once, and frames of earlier videos."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []

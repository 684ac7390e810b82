"""Checking files, reporting videos, and one's data: export and erasure."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []

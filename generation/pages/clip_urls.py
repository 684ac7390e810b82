"""What is made from finished videos: cut, joined, in other formats; storylines."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []

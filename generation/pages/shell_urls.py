"""Addresses of what belongs to the site as a whole."""

from django.urls import path

from generation.pages import shell

urlpatterns = [
    path("language", shell.choose_language, name="set_language"),
    path("texts/<str:language>.<str:version>.js", shell.texts, name="texts"),
    path("manifest.webmanifest", shell.manifest, name="manifest"),
    path("sw.js", shell.service_worker, name="service_worker"),
    path("offline", shell.offline, name="offline"),
]

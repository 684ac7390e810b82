"""Showing a finished video to others, and saying what it shows."""

from django.urls import path

from generation.pages import results, shared, sharing

urlpatterns = [
    path("s/<str:token>", shared.page, name="shared"),
    path("s/<str:token>/<str:kind>", shared.media, name="shared_media"),
    path("jobs/<uuid:pk>/alt-text", results.alt_text, name="job_alt_text"),
    path("jobs/<uuid:pk>/shares", sharing.create, name="job_shares"),
    path("shares/<uuid:pk>/revoke", sharing.revoke_link, name="share_revoke"),
]

"""Checking files, reporting videos, and one's data: export and erasure."""

from django.urls import path

from generation.pages import checking, data, reporting

urlpatterns = [
    path("check", checking.check, name="check"),
    path("report", reporting.report, name="report"),
    path("report/<str:reference>", reporting.thanks, name="report_thanks"),
    path("settings/data", data.data, name="data"),
    path("settings/data/export", data.export, name="data_export"),
    path("settings/data/erase", data.erase, name="data_erase"),
]

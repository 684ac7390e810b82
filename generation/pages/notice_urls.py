"""Addresses of what people are told, and how."""

from django.urls import path

from generation.pages import notices, preferences, webhooks

urlpatterns = [
    path("notices", notices.notices, name="notices"),
    path("notices/new", notices.new, name="notices_new"),
    path("notices/seen", notices.all_seen, name="notices_seen"),
    path("notices/<uuid:pk>/seen", notices.seen, name="notice_seen"),
    path("mail/off/<str:token>", preferences.mail_off, name="mail_off"),
    path("settings/preferences", preferences.preferences, name="preferences"),
    path("settings/webhooks", webhooks.webhook_list, name="webhooks"),
    path("settings/webhooks/<uuid:pk>", webhooks.webhook, name="webhook"),
    path("settings/webhooks/<uuid:pk>/switch", webhooks.switch, name="webhook_switch"),
    path("settings/webhooks/<uuid:pk>/rotate", webhooks.rotate, name="webhook_rotate"),
    path("settings/webhooks/<uuid:pk>/test", webhooks.test, name="webhook_test"),
    path("settings/webhooks/<uuid:pk>/delete", webhooks.delete, name="webhook_delete"),
    path("settings/webhooks/<uuid:pk>/deliveries/<uuid:delivery>/replay", webhooks.replay, name="webhook_replay"),
]

from django.urls import path, register_converter

from generation.api import (
    catalogue,
    estimates,
    images,
    job_notes,
    jobs,
    presets,
    spend,
    tokens,
    webhook_preferences,
    webhooks,
)

# A token is called by the start of its hash, which says nothing about the token.
register_converter(tokens.DigestStart, "digest_start")

urlpatterns = [
    path("swarmui/generate-video", jobs.GenerateVideo.as_view(), name="api-generate-video"),
    path("jobs", jobs.Jobs.as_view(), name="api-jobs"),
    path("jobs/<uuid:pk>", jobs.Job.as_view(), name="api-job"),
    path("jobs/<uuid:pk>/cancel", jobs.CancelJob.as_view(), name="api-job-cancel"),
    path("jobs/<uuid:pk>/retry", jobs.RetryJob.as_view(), name="api-job-retry"),
    path("jobs/<uuid:pk>/final", estimates.FinalOfJob.as_view(), name="api-job-final"),
    path("jobs/<uuid:pk>/restore", job_notes.RestoreJob.as_view(), name="api-job-restore"),
    path("jobs/<uuid:pk>/preview", jobs.JobPreview.as_view(), name="api-job-preview"),
    path("jobs/<uuid:pk>/events", jobs.JobEvents.as_view(), name="api-job-events"),
    path("events", jobs.AllEvents.as_view(), name="api-events"),
    path("estimate", estimates.Estimate.as_view(), name="api-estimate"),
    path("images", images.Images.as_view(), name="api-images"),
    path("images/<uuid:pk>", images.Image.as_view(), name="api-image"),
    path("models", catalogue.Models.as_view(), name="api-models"),
    path("spend", spend.Spend.as_view(), name="api-spend"),
    path("presets", presets.Presets.as_view(), name="api-presets"),
    path("presets/<uuid:pk>", presets.PresetDetail.as_view(), name="api-preset"),
    path("tokens", tokens.Tokens.as_view(), name="api-tokens"),
    path("tokens/<digest_start:pk>", tokens.Token.as_view(), name="api-token"),
    path("preferences", webhook_preferences.PreferencesView.as_view(), name="api-preferences"),
    path("webhooks", webhooks.Webhooks.as_view(), name="api-webhooks"),
    path("webhooks/<uuid:pk>", webhooks.Webhook.as_view(), name="api-webhook"),
    path("webhooks/<uuid:pk>/rotate", webhooks.RotateSecret.as_view(), name="api-webhook-rotate"),
    path("webhooks/<uuid:pk>/test", webhooks.TestWebhook.as_view(), name="api-webhook-test"),
    path("webhooks/<uuid:pk>/deliveries", webhooks.Deliveries.as_view(), name="api-webhook-deliveries"),
    path(
        "webhooks/<uuid:pk>/deliveries/<uuid:delivery>/replay",
        webhooks.ReplayDelivery.as_view(),
        name="api-webhook-replay",
    ),
]

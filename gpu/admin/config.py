"""The operator's view of the configuration: the address of the GPU, and the policy by which machines are rented."""

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html

from gpu.errors import BadAddress
from gpu.forms import PolicyForm
from gpu.models import GpuConfig
from gpu.services import config, policy

if TYPE_CHECKING:
    # The stubs' classes take a parameter that Django's own do not.
    ConfigAdmin = admin.ModelAdmin[GpuConfig]
else:
    ConfigAdmin = admin.ModelAdmin


class GpuConfigForm(PolicyForm):
    class Meta(PolicyForm.Meta):
        fields = ("swarmui_url", *policy.FIELDS)

    def clean_swarmui_url(self) -> str:
        try:
            return config.checked_address(self.cleaned_data["swarmui_url"])
        except BadAddress as exc:
            raise forms.ValidationError(exc.message) from exc


@admin.register(GpuConfig)
class GpuConfigAdmin(ConfigAdmin):
    form = GpuConfigForm
    readonly_fields = ["available", "offers", "updated_at"]
    fieldsets = [
        (None, {"fields": ["swarmui_url", "available", "offers", "updated_at"]}),
        *((title, {"fields": names}) for title, names in policy.GROUPS),  # type: ignore[list-item]  # it is one
    ]

    @admin.display(description="Answers now", boolean=True)
    def available(self, _row: GpuConfig) -> bool:
        return config.swarmui_available()

    @admin.display(description="Offers")
    def offers(self, _row: GpuConfig) -> str:
        return format_html('<a href="{}">What can be rented now, with scores</a>', reverse("admin:gpu_offers"))

    def save_model(self, _request: HttpRequest, obj: GpuConfig, form: Any, _change: bool) -> None:
        # The admin writes its own line in the audit log, so the services get no actor.
        config.save_config(swarmui_url=obj.swarmui_url)
        policy.save_policy(
            values={name: form.cleaned_data[name] for name in policy.FIELDS if name in form.cleaned_data}
        )

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if not self.has_view_permission(request):
            return super().changelist_view(request, extra_context)
        return redirect(reverse("admin:gpu_gpuconfig_change", args=[config.load().pk]))

    def has_add_permission(self, _request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, _request: HttpRequest, _obj: GpuConfig | None = None) -> bool:
        return False

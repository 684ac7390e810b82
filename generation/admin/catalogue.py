"""The operator's view of the catalogue: which models there are, what they take and what they cost."""

import re
from typing import Any

from django import forms
from django.contrib import admin
from django.utils.html import format_html

from generation.admin.rows import NOTHING
from generation.models import VideoModel
from generation.services import prices
from generation.services.jobs import parse_size

_SIZE = re.compile(r"[1-9]\d{1,4}x[1-9]\d{1,4}", re.ASCII)
_STAGES = ("high", "low", "all")


class VideoModelForm(forms.ModelForm):  # type: ignore[type-arg]  # takes no parameter when it runs
    licence_url = forms.URLField(assume_scheme="https")

    class Meta:
        model = VideoModel
        fields = "__all__"  # noqa: DJ007 (every column is the operator's)

    def clean_sizes(self) -> list[str]:
        sizes = self.cleaned_data["sizes"]
        if not isinstance(sizes, list):
            raise forms.ValidationError('A list of sizes: ["832x480"].')
        for size in sizes:
            if not isinstance(size, str) or not _SIZE.fullmatch(size):
                raise forms.ValidationError(f'{size!r} does not look like "832x480".')
            if any(side % 16 for side in parse_size(size)):
                raise forms.ValidationError(f"The sides of {size} must be multiples of 16.")
        return sizes

    def clean_loras(self) -> list[dict[str, Any]]:
        loras = self.cleaned_data["loras"] or []
        if not isinstance(loras, list):
            raise forms.ValidationError("A list of LoRAs.")
        for lora in loras:
            _check_lora(lora)
        return loras

    def clean_parameters(self) -> dict[str, Any]:
        parameters = self.cleaned_data["parameters"] or {}
        if parameters and (found := prices.problems_of(parameters)):
            raise forms.ValidationError(found)
        return dict(parameters)

    def clean_price_by_resolution(self) -> dict[str, str]:
        tiers = self.cleaned_data["price_by_resolution"] or {}
        if not prices.are_tiers(tiers):
            raise forms.ValidationError('Prices by the shorter side, as texts: {"480p": "0.04"}.')
        return dict(tiers)

    def clean_frame_choices(self) -> list[int]:
        choices = self.cleaned_data["frame_choices"] or []
        if not isinstance(choices, list) or not all(type(one) is int and one > 0 for one in choices):
            raise forms.ValidationError("A list of frame counts: [81, 161].")
        return sorted(choices)

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("provider") == "fal":
            for name in ("endpoint", "parameters", "price_usd", "price_unit"):
                if not data.get(name) and name not in self.errors:
                    self.add_error(name, "A model in the cloud needs this.")
        if data.get("frame_choices") and data.get("default_frames") not in data["frame_choices"]:
            self.add_error("default_frames", "This is none of the frame counts that it makes.")
        if data.get("provider") == "swarmui" and not data.get("high_noise_model"):
            self.add_error("high_noise_model", "A SwarmUI model needs the name of its model file.")
        sizes = data.get("sizes") or []
        for size in sizes if data.get("max_side") and data.get("max_pixels") else []:
            width, height = parse_size(size)
            if max(width, height) > data["max_side"] or width * height > data["max_pixels"]:
                self.add_error("sizes", f"{size} is larger than the limits below allow.")
        return data


def _check_lora(lora: Any) -> None:
    if not isinstance(lora, dict) or set(lora) != {"name", "weight", "stage"}:
        raise forms.ValidationError('Each LoRA has exactly "name", "weight" and "stage".')
    weight = lora["weight"]
    if not isinstance(lora["name"], str) or not lora["name"].strip():
        raise forms.ValidationError("A LoRA's name is the text by which SwarmUI lists it.")
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not -10 <= weight <= 10:
        raise forms.ValidationError("A LoRA's weight is a number from -10 to 10.")
    if lora["stage"] not in _STAGES:
        raise forms.ValidationError('A LoRA\'s stage is "high", "low" or "all".')


@admin.register(VideoModel)
class VideoModelAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # takes no parameter when it runs
    form = VideoModelForm
    list_display = ["name", "provider", "rating", "licence", "price", "position", "enabled"]
    list_editable = ["position", "enabled"]
    list_filter = ["provider", "rating", "enabled", "commercial_use"]
    search_fields = ["name", "slug", "high_noise_model"]
    prepopulated_fields = {"slug": ["name"]}
    save_as = True
    fieldsets = [
        (None, {"fields": ["name", "slug", "summary", "provider", "enabled", "position", "family"]}),
        ("Rating and licence", {"fields": ["rating", "licence_name", "licence_url", "commercial_use"]}),
        (
            "Files at SwarmUI",
            {"fields": ["high_noise_model", "low_noise_model", "swap_percent", "loras", "architecture"]},
        ),
        (
            "In the cloud",
            {
                "fields": [
                    "endpoint",
                    "parameters",
                    ("price_usd", "price_unit", "price_seen_on"),
                    "price_by_resolution",
                ],
                "description": "An endpoint of fal.ai, how our settings are called there, and what fal.ai takes.",
            },
        ),
        ("Sampling", {"fields": ["sampler", "scheduler", "allow_prompt_syntax", "default_negative_prompt"]}),
        ("Sizes", {"fields": ["sizes", ("min_side", "max_side", "max_pixels")]}),
        (
            "Defaults and limits",
            {
                "fields": [
                    ("default_frames", "min_frames", "max_frames", "frames_step"),
                    "frame_choices",
                    ("default_fps", "min_fps", "max_fps"),
                    ("default_steps", "min_steps", "max_steps"),
                    ("default_cfg", "min_cfg", "max_cfg"),
                    "typical_seconds",
                    "prompt_reads_chars",
                ]
            },
        ),
    ]

    @admin.display(description="Price", ordering="price_usd")
    def price(self, row: VideoModel) -> str:
        return f"${row.price_usd.normalize():f} {row.get_price_unit_display()}" if row.price_usd else NOTHING

    @admin.display(description="Licence", ordering="licence_name")
    def licence(self, row: VideoModel) -> str:
        return format_html('<a href="{}" rel="noreferrer">{}</a>', row.licence_url, row.licence_name)

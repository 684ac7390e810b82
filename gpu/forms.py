"""What may be rented, as a form: the same one for the staff's page and for the admin."""

import re
from typing import TYPE_CHECKING, Any

from django import forms

from gpu.models import GpuConfig
from gpu.services import policy

if TYPE_CHECKING:
    # The stubs' class takes a parameter that Django's own does not.
    ConfigForm = forms.ModelForm[GpuConfig]
else:
    ConfigForm = forms.ModelForm

MAX_WORDS = 40
_COUNTRY = re.compile(r"[A-Z]{2}", re.ASCII)
# vast.ai writes RTX 4090, and so do we.
_GPU = re.compile(r"[A-Za-z0-9][A-Za-z0-9 .+-]{0,58}", re.ASCII)


class WordsField(forms.CharField):
    """A list of texts, typed with commas between them."""

    def __init__(self, *, pattern: re.Pattern[str], example: str, upper: bool = False, **kwargs: Any) -> None:
        self._pattern, self._example, self._upper = pattern, example, upper
        super().__init__(required=False, max_length=1000, **kwargs)

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(map(str, value)) if isinstance(value, list) else value

    def clean(self, value: Any) -> list[str]:
        words = [" ".join(word.split()) for word in str(super().clean(value) or "").split(",")]
        words = list(dict.fromkeys(word.upper() if self._upper else word for word in words if word))
        for word in words:
            if not self._pattern.fullmatch(word):
                raise forms.ValidationError(f"{word!r} does not look like {self._example}.")
        if len(words) > MAX_WORDS:
            raise forms.ValidationError(f"At most {MAX_WORDS}.")
        return words

    def has_changed(self, initial: Any, data: Any) -> bool:
        return super().has_changed(self.prepare_value(initial), data)


class PolicyForm(ConfigForm):
    """Every part of the renting policy."""

    gpu_names = WordsField(
        label="GPUs allowed", pattern=_GPU, example='"RTX 4090"', help_text="RTX 4090, RTX 5090. Empty: any."
    )
    regions = WordsField(
        label="Regions allowed",
        pattern=_COUNTRY,
        example='"DE"',
        upper=True,
        help_text="Countries: US, DE. Empty: any.",
    )

    class Meta:
        model = GpuConfig
        fields = policy.FIELDS
        labels = {
            "min_machines": "Machines at least",
            "max_machines": "Machines at most",
            "min_vram_gb": "Least VRAM (GB)",
            "verified_only": "Only verified hosts",
            "min_reliability": "Least reliability",
            "min_download_mbps": "Least download (Mbit/s)",
            "min_cuda": "Least CUDA version",
            "disk_gb": "Disk (GB)",
            "max_price_usd_per_hour": "Price at most ($ an hour)",
            "daily_cap_usd": "Cap a day ($)",
            "monthly_cap_usd": "Cap a month ($)",
            "soft_cap_percent": "Warn from (percent of a cap)",
            "machine_cap_usd": "Cap a machine ($)",
            "person_daily_cap_usd": "Cap a person and day ($)",
            "person_monthly_cap_usd": "Cap a person and month ($)",
            "min_credit_usd": "Credit to keep ($)",
            "idle_minutes": "Idle time (minutes)",
            "lease_minutes": "Lease (minutes)",
            "max_lifetime_minutes": "Lifetime at most (minutes)",
            "on_from": "On from",
            "off_at": "Off at",
            "template_hash": "vast.ai template",
            "image": "Container image",
        }
        widgets = {
            "on_from": forms.TimeInput(attrs={"type": "time"}, format="%H:%M"),
            "off_at": forms.TimeInput(attrs={"type": "time"}, format="%H:%M"),
        }
        help_texts = {
            "min_reliability": "0 to 1, as vast.ai measures it.",
            "max_price_usd_per_hour": "GPU and storage together.",
            "daily_cap_usd": "Machines and cloud calls together; at the cap machines are given back.",
            "monthly_cap_usd": "The same for a month (UTC).",
            "soft_cap_percent": "People are warned, and a machine near its own cap gets no new work.",
            "machine_cap_usd": "No machine costs more. Empty: no such cap.",
            "person_daily_cap_usd": "For everybody without a budget of their own. Empty: no such cap.",
            "person_monthly_cap_usd": "For everybody without a budget of their own. Empty: no such cap.",
            "min_credit_usd": "With less than this on vast.ai nothing is rented.",
        }

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        for name, words in policy.problems(data).items():
            self.add_error(name, words)
        return data

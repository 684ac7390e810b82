"""What may be rented, as a form: the same one for the staff's page and for the admin."""

import re
from typing import TYPE_CHECKING, Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

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
                raise forms.ValidationError(
                    _("%(word)s does not look like %(example)s.") % {"word": f"{word!r}", "example": self._example}
                )
        if len(words) > MAX_WORDS:
            raise forms.ValidationError(_("At most %(max_words)s.") % {"max_words": MAX_WORDS})
        return words

    def has_changed(self, initial: Any, data: Any) -> bool:
        return super().has_changed(self.prepare_value(initial), data)


class PolicyForm(ConfigForm):
    """Every part of the renting policy."""

    gpu_names = WordsField(
        label=gettext_lazy("GPUs allowed"),
        pattern=_GPU,
        example='"RTX 4090"',
        help_text=gettext_lazy("RTX 4090, RTX 5090. Empty: any."),
    )
    regions = WordsField(
        label=gettext_lazy("Regions allowed"),
        pattern=_COUNTRY,
        example='"DE"',
        upper=True,
        help_text=gettext_lazy("Countries: US, DE. Empty: any."),
    )

    class Meta:
        model = GpuConfig
        fields = policy.FIELDS
        labels = {
            "min_machines": gettext_lazy("Machines at least"),
            "max_machines": gettext_lazy("Machines at most"),
            "min_vram_gb": gettext_lazy("Least VRAM (GB)"),
            "verified_only": gettext_lazy("Only verified hosts"),
            "min_reliability": gettext_lazy("Least reliability"),
            "min_download_mbps": gettext_lazy("Least download (Mbit/s)"),
            "min_cuda": gettext_lazy("Least CUDA version"),
            "disk_gb": gettext_lazy("Disk (GB)"),
            "max_price_usd_per_hour": gettext_lazy("Price at most ($ an hour)"),
            "daily_cap_usd": gettext_lazy("Cap a day ($)"),
            "monthly_cap_usd": gettext_lazy("Cap a month ($)"),
            "soft_cap_percent": gettext_lazy("Warn from (percent of a cap)"),
            "machine_cap_usd": gettext_lazy("Cap a machine ($)"),
            "person_daily_cap_usd": gettext_lazy("Cap a person and day ($)"),
            "person_monthly_cap_usd": gettext_lazy("Cap a person and month ($)"),
            "min_credit_usd": gettext_lazy("Credit to keep ($)"),
            "idle_minutes": gettext_lazy("Idle time (minutes)"),
            "lease_minutes": gettext_lazy("Lease (minutes)"),
            "max_lifetime_minutes": gettext_lazy("Lifetime at most (minutes)"),
            "on_from": gettext_lazy("On from"),
            "off_at": gettext_lazy("Off at"),
            "template_hash": gettext_lazy("vast.ai template"),
            "image": gettext_lazy("Container image"),
        }
        widgets = {
            "on_from": forms.TimeInput(attrs={"type": "time"}, format="%H:%M"),
            "off_at": forms.TimeInput(attrs={"type": "time"}, format="%H:%M"),
        }
        help_texts = {
            "min_reliability": gettext_lazy("0 to 1, as vast.ai measures it."),
            "max_price_usd_per_hour": gettext_lazy("GPU and storage together."),
            "daily_cap_usd": gettext_lazy("Machines and cloud calls together; at the cap machines are given back."),
            "monthly_cap_usd": gettext_lazy("The same for a month (UTC)."),
            "soft_cap_percent": gettext_lazy("People are warned, and a machine near its own cap gets no new work."),
            "machine_cap_usd": gettext_lazy("No machine costs more. Empty: no such cap."),
            "person_daily_cap_usd": gettext_lazy("For everybody without a budget of their own. Empty: no such cap."),
            "person_monthly_cap_usd": gettext_lazy("For everybody without a budget of their own. Empty: no such cap."),
            "min_credit_usd": gettext_lazy("With less than this on vast.ai nothing is rented."),
        }

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        for name, words in policy.problems(data).items():
            self.add_error(name, words)
        return data

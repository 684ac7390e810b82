"""Changing what may be rented: the rules that the parts of a policy have among themselves, and the audit line."""

import json
from collections.abc import Mapping
from typing import Any

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from gpu.models import GpuConfig
from gpu.services import config

# What staff may change, in the order in which it is shown.
GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (gettext_noop("Renting"), ("gpu_provider", "renting", "min_machines", "max_machines")),
    (
        gettext_noop("Money"),
        (
            "max_price_usd_per_hour",
            "daily_cap_usd",
            "monthly_cap_usd",
            "soft_cap_percent",
            "machine_cap_usd",
            "person_daily_cap_usd",
            "person_monthly_cap_usd",
            "min_credit_usd",
        ),
    ),
    (
        gettext_noop("Machines"),
        (
            "gpu_names",
            "min_vram_gb",
            "regions",
            "verified_only",
            "min_reliability",
            "min_download_mbps",
            "min_cuda",
            "disk_gb",
        ),
    ),
    (gettext_noop("Time"), ("idle_minutes", "lease_minutes", "max_lifetime_minutes")),
    (gettext_noop("Schedule"), ("on_from", "off_at")),
    (gettext_noop("Software"), ("template_hash", "image")),
)
FIELDS = tuple(name for _title, names in GROUPS for name in names)
MIN_DISK_GB = 40


def problems(values: Mapping[str, Any]) -> dict[str, str]:
    """What does not fit together, by field; empty for a policy that may be saved. Missing values are not judged."""
    found: dict[str, str] = {}
    _at_most(values, found, "min_machines", "max_machines", _("More than the most machines."))
    _at_most(values, found, "daily_cap_usd", "monthly_cap_usd", _("More than the cap of a month."))
    _at_most(values, found, "person_daily_cap_usd", "person_monthly_cap_usd", _("More than the cap of a month."))
    _at_most(values, found, "lease_minutes", "max_lifetime_minutes", _("Longer than a machine may live."))
    _at_most(values, found, "idle_minutes", "max_lifetime_minutes", _("Longer than a machine may live."))
    if (values.get("on_from") is None) != (values.get("off_at") is None):
        found["off_at"] = _("Give both times, or neither.")
    for name in (field for field in FIELDS if "_usd" in field):
        if values.get(name) is not None and values[name] < 0:
            found[name] = _("An amount is not negative.")
    for name in ("lease_minutes", "max_lifetime_minutes"):
        if values.get(name) == 0:
            found[name] = _("At least one minute.")
    if values.get("disk_gb") is not None and values["disk_gb"] < MIN_DISK_GB:
        found["disk_gb"] = _("At least %(min_disk_gb)s GB: the models and the image have to fit.") % {
            "min_disk_gb": MIN_DISK_GB
        }
    return found


def _at_most(values: Mapping[str, Any], found: dict[str, str], low: str, high: str, words: str) -> None:
    if values.get(low) is not None and values.get(high) is not None and values[low] > values[high]:
        found[low] = words


def save_policy(*, values: Mapping[str, Any], actor: User | None = None) -> GpuConfig:
    """Change what is given (names of FIELDS, checked values), with a line in the audit log when `actor` is given."""
    config.load()
    with transaction.atomic():
        row = GpuConfig.objects.select_for_update().get(pk=1)
        changed = {name: values[name] for name in FIELDS if name in values and getattr(row, name) != values[name]}
        for name, value in changed.items():
            setattr(row, name, value)
        if changed:
            row.save(update_fields=[*changed, "updated_at"])
            if actor is not None:
                _audit(row, actor, changed)
    return row


def _audit(row: GpuConfig, actor: User, changed: Mapping[str, Any]) -> None:
    LogEntry.objects.create(
        user=actor,
        content_type=ContentType.objects.get_for_model(GpuConfig),
        object_id=str(row.pk),
        object_repr=str(row)[:200],
        action_flag=CHANGE,
        change_message="; ".join(f"{name} = {json.dumps(value, default=str)}" for name, value in changed.items()),
    )

"""What the pages of all subjects share: links between rows, and rows that nobody edits."""

from typing import Any

from django.db import models
from django.urls import reverse
from django.utils.html import format_html

NOTHING = "-"


class ReadOnly:
    """Rows that only the platform itself writes."""

    def has_add_permission(self, *_: Any) -> bool:
        return False

    def has_change_permission(self, *_: Any) -> bool:
        return False

    def has_delete_permission(self, *_: Any) -> bool:
        return False


def row_link(row: models.Model | None) -> str:
    """A link to the admin page of another row; a dash when there is none."""
    if row is None:
        return NOTHING
    meta = row._meta  # noqa: SLF001 (documented, whatever its name)
    address = reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[row.pk])
    return format_html('<a href="{}">{}</a>', address, str(row))

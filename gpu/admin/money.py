"""The operator's view of the money: the ledger, and the caps of single people."""

from typing import TYPE_CHECKING

from django.contrib import admin

from gpu.admin.rows import ReadOnly, row_link
from gpu.models import LedgerEntry, PersonBudget

if TYPE_CHECKING:
    # The stubs' classes take a parameter that Django's own do not.
    LedgerAdmin = admin.ModelAdmin[LedgerEntry]
    BudgetAdmin = admin.ModelAdmin[PersonBudget]
else:
    LedgerAdmin = BudgetAdmin = admin.ModelAdmin


@admin.register(LedgerEntry)
class LedgerEntryAdmin(ReadOnly, LedgerAdmin):
    list_display = ["at", "book", "kind", "usd", "person", "instance_link", "note"]
    list_filter = ["book", "kind", "at", ("person", admin.RelatedOnlyFieldListFilter)]
    list_select_related = ["instance", "person"]
    list_per_page = 100
    show_full_result_count = False
    search_fields = ["key", "note", "=subject", "instance__label", "person__username"]
    search_help_text = "A job's or a machine's id, a name, a label, words of a note."
    fields = ["at", "book", "kind", "usd", "subject", "person", "instance_link", "key", "note"]
    date_hierarchy = "at"

    @admin.display(description="Machine", ordering="instance")
    def instance_link(self, entry: LedgerEntry) -> str:
        return row_link(entry.instance)


@admin.register(PersonBudget)
class PersonBudgetAdmin(BudgetAdmin):
    """Caps of single people, changed where they are listed."""

    list_display = ["person", "daily_cap_usd", "monthly_cap_usd"]
    list_editable = ["daily_cap_usd", "monthly_cap_usd"]
    list_select_related = ["person"]
    search_fields = ["person__username", "person__email"]
    autocomplete_fields = ["person"]

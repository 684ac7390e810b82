"""`manage.py ledger`: whether the books add up."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from gpu.models import LedgerEntry
from gpu.services import audit


class Command(BaseCommand):
    help = "Check that the ledger adds up. Exit code 1 when it does not."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--repair-totals",
            action="store_true",
            help="Work out the sums that are kept ready anew from the entries. Entries are never changed.",
        )

    def handle(self, *_args: Any, repair_totals: bool = False, **_options: Any) -> None:
        if repair_totals:
            self.stdout.write(f"{audit.repair_totals()} sums were wrong and are right now.")
        problems = audit.check_ledger()
        for problem in problems:
            self.stdout.write(str(problem))
        count = LedgerEntry.objects.count()
        if problems:
            raise CommandError(f"The ledger does not add up: {len(problems)} problems in {count} entries.")
        self.stdout.write(f"The ledger adds up: {count} entries.")

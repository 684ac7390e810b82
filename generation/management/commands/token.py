"""Prints a fresh API token, for scripts: TOKEN=$(manage.py token ada)."""

from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser

from generation.services.bootstrap import replace_token


class Command(BaseCommand):
    help = "Print a new API token of a person; an earlier one of the same name stops working."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username", nargs="?", help="default: the first administrator")
        parser.add_argument("--name", default="command line")

    def handle(self, *, username: str | None, name: str, **_options: Any) -> None:
        people = User.objects.filter(is_active=True).order_by("pk")
        chosen = people.filter(username=username) if username else people.filter(is_superuser=True)
        user = chosen.first()
        if user is None:
            raise CommandError("There is no such active person.")
        self.stdout.write(replace_token(user=user, name=name))

"""`manage.py erase ada`: close an account and have everything of it deleted."""

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError

from generation.services.erasing import close_account
from i2v_site.errors import DomainError


class Command(BaseCommand):
    help = "Close an account and have everything of it deleted by the workers. It cannot be taken back."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--yes", action="store_true", help="Do not ask.")

    def handle(self, *_args: Any, username: str, yes: bool, **_options: Any) -> None:
        person = User.objects.filter(username=username).first()
        if person is None:
            raise CommandError(f"There is no account {username!r}.")
        if not yes and input(f"Erase {username} with all pictures and videos? Type the name again: ") != username:
            raise CommandError("Nothing was erased.")
        try:
            erasure = close_account(person=person, actor="manage.py")
        except DomainError as exc:
            raise CommandError(exc.message) from exc
        self.stdout.write(f"The account is closed; the workers delete its data (erasure {erasure.pk}).")

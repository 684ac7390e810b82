"""`manage.py export ada ada.zip`: everything about one person as a ZIP."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError

from generation.services import exporting


class Command(BaseCommand):
    help = "Write everything about one person into a ZIP: tables as JSON, and all their files."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username")
        parser.add_argument("path", type=Path)

    def handle(self, *_args: Any, username: str, path: Path, **_options: Any) -> None:
        person = User.objects.filter(username=username).first()
        if person is None:
            raise CommandError(f"There is no account {username!r}.")
        try:
            with path.open("xb") as file:
                exporting.write(person, file.write)
        except FileExistsError as exc:
            raise CommandError(f"{path} exists already.") from exc
        self.stdout.write(f"{path}: {path.stat().st_size} bytes.")

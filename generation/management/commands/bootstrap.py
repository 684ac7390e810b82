"""Creates the first administrator once, and shows the password and the token this one time."""

from typing import Any

from django.core.management.base import BaseCommand

from generation.services.bootstrap import create_first_administrator


class Command(BaseCommand):
    help = (
        "Create the first administrator with an API token (ADMIN_USERNAME, ADMIN_EMAIL, ADMIN_PASSWORD, ADMIN_TOKEN)."
    )

    def handle(self, **_options: Any) -> None:
        made = create_first_administrator()
        if made is None:
            self.stdout.write("There is an administrator already.")
        else:
            self.stdout.write(
                f"Administrator: {made.username}\nPassword:      {made.password}\nAPI token:     {made.token}"
            )

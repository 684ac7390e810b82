"""Runs everything: web, live, worker and dispatcher, each started again when it dies. Ctrl-C stops them all."""

import os
import sys
from argparse import ArgumentTypeError
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from generation.management import demo, launch
from generation.management.platform import Platform
from generation.services.bootstrap import FirstAdministrator, create_first_administrator
from i2v_site.supervise import Child

# Set for the process that was started again with the demo's environment.
DEMO_PORT = "I2V_DEMO_PORT"


def port_number(text: str) -> int:
    # The live process takes the next port.
    if not text.isdecimal() or not 1 <= int(text) <= 65_534:
        raise ArgumentTypeError("must be a number from 1 to 65534")
    return int(text)


class Command(BaseCommand):
    help = "Run web, live, worker and dispatcher together."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
        parser.add_argument(
            "--port",
            type=port_number,
            default=8000,
            help="for pages; live updates take the next (default: %(default)s)",
        )
        parser.add_argument("--demo", action="store_true", help="with a simulated vast.ai and fal.ai; nothing is paid")
        parser.add_argument(
            "--check", action="store_true", help="start on a free port, make one video, check it, stop; exit 0 or 1"
        )
        parser.add_argument(
            "--without-administrator", action="store_true", help="do not create the first administrator"
        )

    def handle(self, *, check: bool, **options: Any) -> None:
        try:
            if check:
                # Brings PyAV with it, which a process that runs for weeks does not need.
                from generation.management import selfcheck

                sys.exit(selfcheck.run(say=self._say))
            if options["demo"] and DEMO_PORT not in os.environ:
                _start_again_for_demo()
            self._serve(host=options["host"], port=options["port"], alone=options["without_administrator"])
        except launch.CannotStart as exc:
            sys.exit(str(exc))
        except KeyboardInterrupt:
            sys.exit(130)

    def _serve(self, *, host: str, port: int, alone: bool) -> None:
        launch.check_ports(host, port)
        launch.check_folders()
        launch.check_services()
        launch.prepare()
        administrator = None if alone else create_first_administrator()
        platform = Platform(host=host, port=port, say=self._say)
        extra = _simulators(self._say)
        platform.run(extra, on_up=lambda: self._say(_greeting(platform.address, administrator)))

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()


def _simulators(say: Callable[[str], None]) -> list[Child]:
    """What a demonstration needs beside the platform."""
    port = os.environ.get(DEMO_PORT)
    if port is None:
        return []
    demo.begin(int(port), say)
    return [demo.simulator(int(port)), demo.cloud(int(port))]


def _start_again_for_demo() -> None:
    # Settings are read once at the start of a process, so what the demo needs must stand in the environment before.
    port = launch.free_port(together=demo.PORTS)
    environment = os.environ | demo.environment(port) | {DEMO_PORT: str(port)}
    os.execve(sys.executable, [sys.executable, *sys.argv], environment)  # noqa: S606 (a shell is what we avoid)


def _greeting(address: str, administrator: FirstAdministrator | None) -> str:
    where = f"I2V_DATA_DIR={settings.DATA_DIR} " if settings.DEMO else ""
    token, lines = f"$({where}{sys.executable} {settings.BASE_DIR / 'manage.py'} token)", []
    if administrator is not None:
        token = administrator.token
        lines = [
            "",
            f"  Administrator  {administrator.username}",
            f"  Password       {administrator.password}",
            f"  API token      {administrator.token}",
            f"  Shown this once. Change them at {address}/settings.",
        ]
    curl = (
        f'  curl -H "Authorization: Token {token}" -F "image=@{launch.EXAMPLE_PICTURE}" '
        f'-F "prompt={launch.EXAMPLE_PROMPT}" {address}/api/jobs'
    )
    return "\n".join(["", f"Image to Video is running at {address}", *lines, "", "Make a video:", curl, ""])

"""The official command line, which knows nothing of our client, against the simulated vast.ai.

It exits with 0 also when the server refused, so what it prints is what counts.
"""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulators.client_environment import programs_of
from tests.simulators.vastai import VastSimulator

VERSION = "1.9.1"
IMAGE = "vastai/swarmui:latest"
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="session")
def program() -> Path:
    return programs_of("vastai", VERSION) / "vastai"


class Vastai:
    """Runs one command as 10.1 of our notes on the API says: nothing of it ever reaches the real service."""

    def __init__(self, program: Path, home: Path, market: VastSimulator) -> None:
        self._program, self.market = program, market
        self._env = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "VAST_URL": market.url,
            "VAST_API_KEY": market.api_key,
            "VASTAI_NO_UPDATE_CHECK": "1",
            "COLUMNS": "400",
        }

    def run(self, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        command = [str(self._program), *words]
        return subprocess.run(
            command,
            env=self._env | env,
            capture_output=True,
            text=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
            check=False,
        )

    def __call__(self, *words: str) -> str:
        """What it printed, when it did not complain."""
        done = self.run(*words)
        assert not done.stderr.strip(), done.stderr
        return done.stdout

    def json(self, *words: str):
        return json.loads(self(*words, "--raw"))

    def rent(self) -> str:
        """The id of a new instance on the cheapest RTX 4090."""
        offer = self.json("search", "offers", "gpu_name=RTX_4090 num_gpus=1", "-o", "dph")[0]
        words = ("--image", IMAGE, "--disk", "40", "--label", "a label", "--env", "-p 7865:7865 -e A=b")
        return str(self.json("create", "instance", str(offer["id"]), *words)["new_contract"])


@pytest.fixture
def vastai(program: Path, tmp_path: Path) -> Iterator[Vastai]:
    with VastSimulator(loading_seconds=30) as market:
        yield Vastai(program, tmp_path, market)


def test_search_prints_a_table_and_json_of_the_same_offers(vastai: Vastai) -> None:
    query = "gpu_name=RTX_4090 num_gpus=1 reliability>0.98 inet_down>500 geolocation in [US,CA,SE,DE,NO]"
    rows = vastai.json("search", "offers", query, "-o", "dph", "--storage", "60")
    table = vastai("search", "offers", query, "-o", "dph", "--storage", "60")

    assert rows
    assert [row["dph_total"] for row in rows] == sorted(row["dph_total"] for row in rows)
    assert all(row["reliability"] > 0.98 and row["geolocation"][-2:] in ("US", "CA", "SE", "DE", "NO") for row in rows)
    assert re.findall(r"\b31\d{6}\b", table) == [str(row["id"]) for row in rows]


def test_the_new_search_endpoint_finds_the_same(vastai: Vastai) -> None:
    old = vastai.json("search", "offers", "gpu_ram>=24 num_gpus=2")
    new = vastai.json("search", "offers", "gpu_ram>=24 num_gpus=2", "--new")

    assert old
    assert [row["id"] for row in old] == [row["id"] for row in new]


def test_an_instance_is_created_and_shown_with_what_was_asked_for(vastai: Vastai) -> None:
    number = vastai.rent()
    shown = vastai.json("show", "instance", number)

    assert (shown["label"], shown["image_uuid"], shown["disk_space"]) == ("a label", IMAGE, 40)
    assert shown["extra_env"] == {"-p 7865:7865": "1", "A": "b"}
    assert vastai.market.instances()[0]["env"] == {"-p 7865:7865": "1", "A": "b"}


def test_all_instances_are_listed_over_several_pages(vastai: Vastai) -> None:
    vastai.market.script(page_limit=2)
    numbers = [vastai.rent() for _ in range(3)]
    table = vastai.run("show", "instances").stdout

    assert [str(row["id"]) for row in vastai.json("show", "instances")] == numbers
    assert all(number in table for number in numbers)
    assert vastai("show", "instances", "-q").split() == numbers


def test_instances_are_filtered_by_label_and_status(vastai: Vastai) -> None:
    number = vastai.rent()
    vastai("label", "instance", number, "i2v/a/b")

    assert vastai("show", "instances", "-q", "--label", "i2v/a/b").split() == [number]
    assert vastai("show", "instances", "-q", "--label", "other").split() == []
    assert vastai("show", "instances", "-q", "--status", "running").split() == []


def test_a_running_instance_has_ports_and_an_ssh_address(vastai: Vastai) -> None:
    number = vastai.rent()
    vastai.market.advance(120)
    shown = vastai.json("show", "instance", number)

    assert shown["actual_status"] == "running"
    assert re.fullmatch(r"\d+", shown["ports"]["7865/tcp"][0]["HostPort"])
    assert vastai("ssh-url", number).startswith("ssh://root@127.0.0.1:")


def test_stop_start_and_reboot_do_what_they_say(vastai: Vastai) -> None:
    number = vastai.rent()
    vastai.market.advance(120)

    assert "stopping instance" in vastai("stop", "instance", number)
    assert vastai.market.instances()[0]["actual_status"] == "exited"
    assert "starting instance" in vastai("start", "instance", number)
    vastai.market.advance(30)
    assert vastai.market.instances()[0]["actual_status"] == "running"
    assert "Rebooting" in vastai("reboot", "instance", number)
    assert vastai.market.instances()[0]["actual_status"] == "rebooting"


def test_a_start_without_a_free_gpu_is_queued(vastai: Vastai) -> None:
    number = vastai.rent()
    vastai("stop", "instance", number)
    vastai.market.take_machine(vastai.market.instances()[0]["machine_id"])

    assert "state change queued" in vastai.run("start", "instance", number).stdout


def test_destroy_ends_the_contract_and_a_second_time_is_a_404(vastai: Vastai) -> None:
    number = vastai.rent()

    assert f"destroying instance {number}" in vastai("destroy", "instance", number, "-y")
    assert vastai.market.state()["instances"] == 0
    assert "404" in vastai.run("destroy", "instance", number, "-y").stderr
    assert vastai.run("show", "instance", number).returncode == 1


def test_destroy_asks_first(vastai: Vastai) -> None:
    number = vastai.rent()

    assert "Aborted" in "".join(str(vastai.run("destroy", "instance", number)))
    assert vastai.market.state()["instances"] == 1


def test_several_instances_are_destroyed_at_once(vastai: Vastai) -> None:
    numbers = [vastai.rent(), vastai.rent()]
    vastai("destroy", "instances", *numbers, "-y")

    assert vastai.market.state()["instances"] == 0


def test_logs_appear_after_a_few_looks(vastai: Vastai) -> None:
    number = vastai.rent()
    vastai.market.advance(120)

    assert "Your web credentials are" in vastai("logs", number, "--tail", "50")


def test_the_account_shows_its_credit(vastai: Vastai) -> None:
    assert vastai.json("show", "user")["credit"] == 100.0
    assert "100" in vastai("show", "user")


def test_charges_carry_the_label(vastai: Vastai) -> None:
    number = vastai.rent()
    vastai.market.advance(3600)
    found = vastai.run("show", "invoices-v1", "-c", "--raw")

    assert f"instance-{number}" in found.stdout + found.stderr


def test_templates_are_found(vastai: Vastai) -> None:
    hash_id = vastai.market.publish_template(name="SwarmUI", image="vastai/swarmui", tag="latest")

    assert hash_id in vastai("search", "templates", "name=SwarmUI", "--raw")


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("no_such_ask_410", "no_such_ask"),
        ("no_such_ask_404", "not available"),
        ("insufficient_credit", "credit"),
        ("401_2fa", "Two Factor"),
        ("403_scope", "permission"),
        ("429_quota", "quota"),
    ],
)
def test_a_refused_create_says_why(vastai: Vastai, fault: str, words: str) -> None:
    offer = vastai.json("search", "offers", "num_gpus=1")[0]["id"]
    vastai.market.fail("create", fault)
    done = vastai.run("create", "instance", str(offer), "--image", IMAGE, "--disk", "40")

    assert words in done.stdout + done.stderr
    assert vastai.market.state()["instances"] == 0


def test_the_official_client_sends_a_create_again_when_its_answer_was_lost(vastai: Vastai) -> None:
    offer = vastai.json("search", "offers", "num_gpus=1")[0]["id"]
    vastai.market.fail("create", "504_after")
    done = vastai.run("create", "instance", str(offer), "--image", IMAGE, "--disk", "40")

    assert "no_such_ask" in done.stderr
    assert vastai.market.state()["instances"] == 1
    assert len(vastai.market.calls("create")) == 2


def test_an_unknown_key_is_told_apart_from_none(vastai: Vastai) -> None:
    assert "Invalid user key" in vastai.run("show", "instances", "--raw", VAST_API_KEY="wrong").stderr


def test_a_busy_server_is_asked_again(vastai: Vastai) -> None:
    vastai.market.fail("user", "429_header", "503")
    vastai.market.script(retry_after=0)

    assert vastai.json("show", "user")["credit"] == 100.0

"""kill -9 at every named point of a machine's life: no orphan, no second rent, and an end within three periods."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpu.clients.vastai import VastClient
from gpu.clients.vastai_create import CreateSpec
from gpu.clients.vastai_offers import OfferQuery
from tests.gpu.fleet_machine import POINTS
from tests.running import ROOT
from tests.simulators.vastai import VastSimulator

pytestmark = pytest.mark.timeout(300)
# Whether a call was sent that was about to be is known only when the list has lacked its label for five minutes.
PERIODS = {"vast.create.sending": 7}


def run(folder: Path, vast: VastSimulator, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    surroundings = os.environ | {
        "I2V_DATA_DIR": str(folder),
        "DJANGO_SETTINGS_MODULE": "i2v_site.settings",
        "SECRET_KEY": "fleet-crashes-" + "x" * 40,
        "LOG_LEVEL": "ERROR",
        "VASTAI_URL": vast.url if vast else "",
        "VASTAI_API_KEY": "sim-key",
        "DEPLOYMENT": "tests",
        "FLEET_DEMAND": "tests.gpu.renting.demand",
        **env,
    }
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, env=surroundings, capture_output=True, text=True, timeout=250, check=False)


@pytest.fixture(scope="module")
def market() -> Iterator[VastSimulator]:
    with VastSimulator(provisioning="never") as simulator:
        yield simulator


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory, market: VastSimulator) -> Path:
    folder = tmp_path_factory.mktemp("migrated")
    done = run(folder, market, "manage.py", "migrate", "-v0")
    assert done.returncode == 0, done.stderr
    return folder


def stray(vast: VastSimulator) -> None:
    client = VastClient(vast.url, vast.api_key)
    offer = client.search_offers(OfferQuery(max_usd_per_hour=5, disk_gb=20)).offers[-1]
    client.create(offer.id, CreateSpec(label="i2v/tests/nobody-knows", disk_gb=20, image="example/x:1"))


@pytest.mark.parametrize("point", POINTS)
def test_a_process_killed_at_a_named_point_leaves_nothing_behind(
    market: VastSimulator, migrated: Path, tmp_path: Path, point: str
) -> None:
    folder = tmp_path / "data"
    shutil.copytree(migrated, folder)
    before = {one["id"] for one in market.instances()}
    if point == "vast.stray.before":
        stray(market)

    killed = run(folder, market, "-m", "tests.gpu.fleet_process", "live", market.url, I2V_CRASH_AT=point)
    assert (killed.returncode, f"crashpoint {point}" in killed.stderr) == (-signal.SIGKILL, True), killed.stderr
    ended = run(folder, market, "-m", "tests.gpu.fleet_process", "end", market.url)

    found = re.fullmatch(r"(\d+) ((?:destroyed|failed|lost)(?: \w+)*)\n", ended.stdout)
    assert found, ended.stdout + ended.stderr
    assert int(found.group(1)) <= PERIODS.get(point, 3)
    new = [one for one in market.instances() if one["id"] not in before]
    assert [one for one in new if one["alive"]] == []
    assert max(Counter(one["label"] for one in new).values(), default=1) == 1

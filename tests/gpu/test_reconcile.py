"""The life of a rented machine, against the simulated vast.ai with its clock advanced."""

from collections.abc import Iterator

import pytest
from pytest_django import Settings

from gpu.models import InstanceState as S
from gpu.services import config, machines, reconcile
from tests.gpu import renting
from tests.gpu.renting import ours, rent, until
from tests.simulators.vastai import VastSimulator


@pytest.fixture
def vast(settings: Settings, db: None) -> Iterator[VastSimulator]:
    with VastSimulator(provisioning="never") as simulator:
        renting.use(settings, simulator)
        with renting.one_clock(simulator):
            renting.allow_renting()
            yield simulator


def test_a_machine_is_rented_watched_used_and_given_back(vast: VastSimulator) -> None:
    row = rent(vast)
    assert (row.state, len(ours(vast))) == (S.BOOTING, 1)

    until(vast, row, S.READY)
    assert [one.url for one in config.endpoints()] == [row.url]

    machines.destroy(instance=row, reason="the test is over")
    until(vast, row, S.DESTROYED, periods=4)
    assert ours(vast) == []
    assert config.endpoints() == []
    assert not reconcile.fleet_in_flux()

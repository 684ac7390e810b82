"""A simulated SwarmUI, vast.ai or fal for each test, and a bare hand on its wire."""

from collections.abc import Iterator

import pytest

from tests.simulators.fal import FalSimulator
from tests.simulators.fal_wire import Caller
from tests.simulators.swarmui import SwarmSimulator
from tests.simulators.swarmui_wire import Wire
from tests.simulators.vastai import VastSimulator
from tests.simulators.vastai_wire import Market


@pytest.fixture
def swarm() -> Iterator[SwarmSimulator]:
    with SwarmSimulator() as simulator:
        yield simulator


@pytest.fixture
def wire(swarm: SwarmSimulator) -> Iterator[Wire]:
    with Wire(swarm.url) as hand:
        yield hand


@pytest.fixture
def vast() -> Iterator[VastSimulator]:
    with VastSimulator(loading_seconds=30) as simulator:
        yield simulator


@pytest.fixture
def market(vast: VastSimulator) -> Iterator[Market]:
    with Market(vast) as hand:
        yield hand


@pytest.fixture
def fal() -> Iterator[FalSimulator]:
    with FalSimulator(scale=0) as simulator:
        yield simulator


@pytest.fixture
def caller(fal: FalSimulator) -> Iterator[Caller]:
    with Caller(fal) as hand:
        yield hand

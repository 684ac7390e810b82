"""A SwarmUI server that renders on nothing, faithful to what real clients see on the wire.

`SwarmSimulator` runs it inside a test; `python -m tests.simulators.swarmui` runs it as a server.
"""

from tests.simulators.swarmui.catalogue import HIGH, LIGHTNING_HIGH, LIGHTNING_LOW, LOW
from tests.simulators.swarmui.simulator import SwarmSimulator

__all__ = ["HIGH", "LIGHTNING_HIGH", "LIGHTNING_LOW", "LOW", "SwarmSimulator"]

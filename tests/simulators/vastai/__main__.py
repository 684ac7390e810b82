"""python -m tests.simulators.vastai --port 7900 --scale 20"""

import argparse
import asyncio
import json
import signal
import sys

from tests.simulators.vastai.lease import DeadManSwitch
from tests.simulators.vastai.script import Script
from tests.simulators.vastai.simulator import Simulation


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulators.vastai", description="A simulated vast.ai.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=7900, help="0: a free one, printed")
    parser.add_argument("--api-key", default="sim-key")
    parser.add_argument("--seed", type=int, default=1, help="another seed is another market")
    parser.add_argument("--machines", type=int, default=120)
    parser.add_argument("--credit", type=float, default=100.0, help="dollars")
    parser.add_argument(
        "--scale", type=float, default=1.0, help="so many times faster than real time; 0: only /sim/advance"
    )
    parser.add_argument("--no-switch", action="store_true", help="forgotten machines do not end themselves")
    parser.add_argument("--knobs", type=json.loads, default={}, help="JSON with fields of script.Script")
    return parser.parse_args()


async def _serve(arguments: argparse.Namespace) -> None:
    script = Script()
    script.update({"credit": arguments.credit} | arguments.knobs)
    simulation = Simulation(
        script=script,
        seed=arguments.seed,
        machines=arguments.machines,
        api_key=arguments.api_key,
        scale=arguments.scale,
        host=arguments.host,
    )
    simulation.world.agent = None if arguments.no_switch else DeadManSwitch()
    await simulation.start(arguments.port)
    sys.stdout.write(f"vast.ai simulator on {simulation.world.base_url}, key {arguments.api_key}\n")
    sys.stdout.flush()
    over = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    await over.wait()
    await simulation.stop()


asyncio.run(_serve(_arguments()))

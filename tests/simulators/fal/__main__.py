"""python -m tests.simulators.fal --port 7950"""

import argparse
import asyncio
import json
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from tests.simulators.fal.script import Script
from tests.simulators.fal.simulator import Simulation


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulators.fal", description="A simulated fal.ai.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=7950, help="the queue; rest, media and api follow. 0: free ones")
    parser.add_argument("--api-key", default="sim-id:sim-secret")
    parser.add_argument("--credit", type=float, default=100.0, help="dollars")
    parser.add_argument("--seconds", type=float, default=10.0, help="of one inference")
    parser.add_argument("--scale", type=float, default=1.0, help="so many times faster than real time")
    parser.add_argument("--knobs", type=json.loads, default={}, help="JSON with fields of script.Script")
    return parser.parse_args()


async def _serve(arguments: argparse.Namespace, folder: Path) -> None:
    script = Script(cheap=False)
    script.update({"credit": arguments.credit, "seconds": arguments.seconds} | arguments.knobs)
    simulation = Simulation(
        script=script, folder=folder, api_key=arguments.api_key, scale=arguments.scale, host=arguments.host
    )
    await simulation.start(arguments.port)
    for name, url in simulation.world.urls.items():
        sys.stdout.write(f"{name:6} {url}\n")
    sys.stdout.write(f"key    {arguments.api_key}\n")
    sys.stdout.flush()
    over = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    await over.wait()
    await simulation.stop()


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="fal-simulator-"))
    try:
        asyncio.run(_serve(_arguments(), folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


main()

"""python -m tests.simulators.swarmui --port 7801 --seconds 20"""

import argparse
import asyncio
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from tests.simulators.swarmui.script import Script
from tests.simulators.swarmui.simulator import Simulation


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulators.swarmui", description="A simulated SwarmUI.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=7801, help="0: a free one, printed")
    parser.add_argument("--seconds", type=float, default=10.0, help="one render on one GPU")
    parser.add_argument("--load-seconds", type=float, default=5.0, help="loading another model")
    parser.add_argument("--boot-seconds", type=float, default=0.0, help="backends say 'loading' this long")
    parser.add_argument("--gap-seconds", type=float, default=0.05, help="the server's own pause between two renders")
    parser.add_argument("--gpus", "--backends", dest="gpus", type=int, default=1)
    parser.add_argument("--authorization", default="", help="the Authorization header every request must carry")
    parser.add_argument("--time-scale", type=float, default=1.0, help="0.1: everything takes a tenth")
    parser.add_argument("--bandwidth-mbit", type=float, default=0.0, help="per connection and direction; 0: no limit")
    parser.add_argument("--result-mb", type=float, default=0.0, help="pad results to this size")
    parser.add_argument("--cheap", action="store_true", help="encode one video per shape, for a thousand jobs at once")
    parser.add_argument("--output", type=Path, help="the output folder; a temporary one by default")
    return parser.parse_args()


async def _serve(arguments: argparse.Namespace, output: Path) -> None:
    script = Script(
        seconds=arguments.seconds,
        load_seconds=arguments.load_seconds,
        boot_seconds=arguments.boot_seconds,
        gap_seconds=arguments.gap_seconds,
        authorization=arguments.authorization,
        time_scale=arguments.time_scale,
        bandwidth_mbit_s=arguments.bandwidth_mbit,
        result_mb=arguments.result_mb,
        cheap=arguments.cheap,
    )
    simulation = Simulation(script=script, backends=arguments.gpus, output=output, host=arguments.host)
    await simulation.start(arguments.port)
    sys.stdout.write(f"SwarmUI simulator on http://{arguments.host}:{simulation.server.port}\n")
    sys.stdout.flush()
    over = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    await over.wait()
    await simulation.stop()


def main() -> None:
    arguments = _arguments()
    output = arguments.output or Path(tempfile.mkdtemp(prefix="swarm-simulator-"))
    try:
        asyncio.run(_serve(arguments, output))
    finally:
        if arguments.output is None:
            shutil.rmtree(output, ignore_errors=True)


main()

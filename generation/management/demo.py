"""`serve --demo`: a pretend vast.ai whose machines run a pretend SwarmUI, and a pretend fal.ai.

It has a data folder of its own: pretend machines, videos and money never stand beside real ones.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

from django.conf import settings

from gpu.services import config, policy, pretend
from i2v_site.supervise import Child

API_KEY = "pretend-key"
RENDER_SECONDS = 12
FAL_KEY = "pretend-id:pretend-secret"
FAL_SECONDS = 8
FAL_PARTS = 4  # its queue, storage, media and platform, on ports side by side
PORTS = 1 + FAL_PARTS
# The market's clock runs so many times faster: a boot of minutes takes seconds.
SCALE = 12
# A newcomer shall see a machine come and go within two minutes.
POLICY: dict[str, Any] = {
    "gpu_provider": "vastai",
    "renting": True,
    "max_machines": 1,
    "idle_minutes": 1,
    "lease_minutes": 30,
    "max_lifetime_minutes": 60,
    "image": "vastai/swarmui:pretend",
}


def environment(port: int) -> dict[str, str]:
    """What the processes must know before they read their settings."""
    queue, rest, media, api = (f"127.0.0.1:{port + 1 + part}" for part in range(FAL_PARTS))
    return {
        "FAL_KEY": FAL_KEY,
        "FAL_QUEUE_URL": f"http://{queue}",
        "FAL_REST_URL": f"http://{rest}",
        "FAL_API_URL": f"http://{api}",
        "FAL_PRIVATE_HOSTS": ",".join((queue, rest, media, api)),
        "FAL_PICTURES": "upload",
        "FAL_WEBHOOKS": "0",
        "I2V_DEMO": "1",
        "I2V_DATA_DIR": str(settings.DATA_DIR / "demo"),
        **dict.fromkeys(("DATABASE_URL", "REDIS_URL", "S3_BUCKET"), ""),
        "VASTAI_URL": f"http://127.0.0.1:{port}",
        "VASTAI_API_KEY": API_KEY,
        "DEPLOYMENT": pretend.DEPLOYMENT,
        "RECONCILE_SECONDS": "3",
    }


def simulator(port: int) -> Child:
    knobs = json.dumps({"swarm": {"seconds": RENDER_SECONDS, "time_scale": 1}, "provisioning": "always"})
    argv = ["-m", "tests.simulators.vastai", "--port", str(port), "--api-key", API_KEY, "--scale", str(SCALE)]
    return Child(name="simulated vast.ai", argv=[sys.executable, *argv, "--knobs", knobs])


def cloud(port: int) -> Child:
    where = ["--port", str(port + 1), "--api-key", FAL_KEY]
    argv = ["-m", "tests.simulators.fal", *where, "--seconds", str(FAL_SECONDS)]
    return Child(name="simulated fal.ai", argv=[sys.executable, *argv])


def begin(port: int, say: Callable[[str], None]) -> None:
    """Let the platform rent at the simulator; the machines of an earlier one ended with it."""
    pretend.close_market()
    config.save_config(swarmui_url="")
    policy.save_policy(values=POLICY)
    say(
        f"DEMO: a simulated vast.ai stands at http://127.0.0.1:{port}, a simulated fal.ai at {settings.FAL_QUEUE_URL}. "
        "No GPU is rented and nothing is paid; the first video for Wan 2.2 makes the platform rent a pretend machine: "
        f"watch it at /staff/fleet. Everything of the demonstration stays in {settings.DATA_DIR}."
    )

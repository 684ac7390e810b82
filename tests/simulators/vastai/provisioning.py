"""The start script of a machine as its container log shows it: `i2v {...}` lines while the models are downloaded.

i2v {"step":"disk","need":26850000000,"free":52800000000}
i2v {"step":"download","done":123,"total":456,"mbps":210,"left":5}      for the whole machine, again and again
i2v {"step":"verify","file":"a.safetensors"}
i2v {"step":"done","done":456,"total":456,"mbps":205,"seconds":187}     or
i2v {"step":"failed","error":"wrong_checksum","file":"a.safetensors"}
"""

import base64
import contextlib
import gzip
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.simulators.swarmui.catalogue import WAN22_14B, Catalogue, Model

if TYPE_CHECKING:
    from tests.simulators.vastai.instance import Instance
    from tests.simulators.vastai.machine import Machine

STUCK_AT = 0.4
SUBTYPES = {
    "diffusion_models": "Stable-Diffusion",
    "Stable-Diffusion": "Stable-Diffusion",
    "unet": "Stable-Diffusion",
    "Lora": "LoRA",
    "VAE": "VAE",
    "clip": "Clip",
    "text_encoders": "Clip",
}
VIDEO_MODELS = ("Wan/", "umt5")  # of SwarmUI's catalogue: what a fresh machine does not have


@dataclass(frozen=True)
class File:
    """A file to download; `folder` is below SwarmUI's Models."""

    name: str
    size: float
    folder: str = "diffusion_models/Wan"

    def model(self) -> Model:
        """What SwarmUI makes of it, found by its folder."""
        root, _, below = self.folder.partition("/")
        subtype = SUBTYPES.get(root, "Stable-Diffusion")
        architecture = WAN22_14B if self.folder == "diffusion_models/Wan" else ""
        name = f"{below}/{self.name}" if below else self.name
        return Model(name=name, subtype=subtype, architecture=architecture)


def files_of(instance: "Instance") -> list[File] | None:
    """The packed list in I2V_FILES: lines of name, folder, size, sum, link. None when there is none to be read."""
    with contextlib.suppress(OSError, ValueError, KeyError, EOFError):
        text = gzip.decompress(base64.b64decode(instance.env["I2V_FILES"])).decode()
        rows = [line.split("\t") for line in text.splitlines()]
        return [File(name, float(size), folder) for name, folder, size, *_ in rows]
    return None


class Provisioning:
    """Downloads the files one after the other, bills them, and calls `finished` at the end."""

    def __init__(self, machine: "Machine", finished: Callable[[], None]) -> None:
        self._machine, self._finished = machine, finished
        self._script = machine.world.script
        listed = files_of(machine.instance)
        given = [File(*facts) for facts in self._script.download_files]
        self.files = given if listed is None else listed
        self._total = sum(file.size for file in self.files)
        self._began = 0.0

    @staticmethod
    def wanted(machine: "Machine") -> bool:
        """The script decides, or `I2V_...` or `PROVISIONING_...` in the env, or i2v in onstart."""
        setting, instance = machine.world.script.provisioning, machine.instance
        if setting != "auto":
            return setting == "always"
        asks = any(key.startswith(("I2V_", "PROVISIONING_")) for key in instance.env)
        return asks or "i2v" in (instance.onstart or "").lower()

    def start(self) -> None:
        self._began = self._machine.world.now
        need = 0 if self._machine.disk.get("provisioned") else self._total
        free = (self._machine.instance.disk_gb - 7.2) * 1e9
        self._say("disk", need=int(need), free=int(free))
        if need > free:
            self._say("failed", error="disk_full")
        elif need:
            self._begin_file(0)
        else:
            self._done()

    def withhold(self, catalogue: Catalogue) -> None:
        """Take away what has to be downloaded first. An empty list means an image that brings its models."""
        if self.files:
            catalogue.models = [one for one in catalogue.models if not one.name.startswith(VIDEO_MODELS)]

    def install(self, catalogue: Catalogue) -> None:
        """The downloaded files are there; those that SwarmUI's simulator knows keep what it knows of them."""
        if files_of(self._machine.instance) is None:
            catalogue.models = [*_fresh(), *(one for one in catalogue.models if one.name not in _names(_fresh()))]
            return
        known = {one.name: one for one in _fresh()}
        added = [known.get(file.model().name, file.model()) for file in self.files]
        catalogue.models += [one for one in added if one.name not in _names(catalogue.models)]

    def _begin_file(self, number: int) -> None:
        if number == len(self.files):
            self._done()
            return
        self._bill(on=True)
        self._progress(number, 0.0)

    def _progress(self, number: int, done: float) -> None:
        """One line, then the next after a while; the last piece is as short as it is."""
        size, speed = self.files[number].size, self._mbps() * 1e6 / 8
        before = sum(file.size for file in self.files[:number])
        left = len(self.files) - number
        self._say("download", done=int(before + done), total=int(self._total), mbps=int(self._mbps()), left=left)
        if done >= size:
            self._verify(number)
            return
        if self._machine.instance.fate == "provisioning_stuck" and before + done >= STUCK_AT * self._total:
            self._bill(on=False)
            return
        step = min(self._script.progress_seconds, (size - done) / speed)
        then = done + step * speed
        then = size if size - then < 1 else then
        self._machine.after(step, lambda: self._progress(number, then))

    def _verify(self, number: int) -> None:
        self._bill(on=False)
        name = self.files[number].name
        self._say("verify", file=name)
        if self._machine.instance.fate == "provisioning_failed":
            self._say("failed", error="wrong_checksum", file=name)
            return
        self._begin_file(number + 1)

    def _done(self) -> None:
        seconds, total = int(self._machine.world.now - self._began), int(self._total)
        self._say("done", done=total, total=total, mbps=int(self._mbps()) if seconds else 0, seconds=seconds)
        self._finished()

    def _mbps(self) -> float:
        return self._script.download_mbps or float(self._machine.instance.terms["inet_down"])

    def _bill(self, *, on: bool) -> None:
        instance = self._machine.instance
        per_second = self._mbps() / 8000 * instance.terms["inet_down_cost"]
        self._machine.world.ledger.meters[instance.id].rates["bwd"] = per_second if on and instance.alive else 0.0

    def _say(self, step: str, **facts: Any) -> None:
        self._machine.disk["progress"] = {"step": step} | facts
        self._machine.tell(step=step, **facts)


def _fresh() -> list[Model]:
    return [one for one in Catalogue().models if one.name.startswith(VIDEO_MODELS)]


def _names(models: list[Model]) -> set[str]:
    return {one.name for one in models}

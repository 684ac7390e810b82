"""The output folder: names, collisions, sidecars, listing, deleting."""

import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.simulators.swarmui import video
from tests.simulators.swarmui.errors import ApplicationError

# What SwarmUI strips from an output path.
FORBIDDEN = re.compile(r'[.<>:"|?*~&@;#$^\x00-\x1f]')
DEFAULT_FORMAT = "raw/[year]-[month]-[day]/[hour][minute][request_time_inc]-[prompt]-[model]"
SIDECARS = (".swarm.json", ".swarmpreview.jpg", ".swarmpreview.webp", ".txt")
LISTED = (".mp4", ".webm", ".mov", ".webp", ".gif", ".png", ".jpg")


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """An encoded result. `size` is what it is padded to, `mark` makes equal videos different files."""

    data: bytes
    extension: str
    mime: str
    size: int = 0
    mark: bytes = b""

    @property
    def box(self) -> tuple[bytes, int]:
        """What follows `data`: a header with the mark, and how many zero bytes come after it."""
        if self.extension not in video.PADDABLE or not (self.mark or self.size):
            return b"", 0
        whole = max(8 + len(self.mark), self.size - len(self.data))
        return video.free_box(whole, self.mark), whole - 8 - len(self.mark)

    def whole(self) -> bytes:
        header, zeros = self.box
        return self.data + header + bytes(zeros)


class OutputStore:
    def __init__(self, root: Path) -> None:
        self.root = root
        self._blocked: set[str] = set()
        self._increment = 0

    def forget_names(self) -> None:
        """Names of saved and deleted files are free again, as after a restart."""
        self._blocked.clear()

    def folder(self, user: str) -> Path:
        return self.root / user

    def save(self, *, user: str, wanted: str, media: Media, metadata: str) -> str:
        """Write the file and its sidecar; returns its URL path, `View/<user>/...`, not percent-encoded."""
        name = self._free_name(user, wanted, media.extension)
        path = self.folder(user) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        header, zeros = media.box
        with path.open("wb") as file:
            file.write(media.data + header)
            # Sparse: a thousand padded results take no room on the disk.
            file.truncate(file.tell() + zeros)
        if media.extension not in ("png", "jpg"):
            path.with_suffix(".swarm.json").write_text(metadata)
        return f"View/{user}/{name}"

    def wanted_path(self, template: str, *, prompt: str, model: str) -> str:
        """Fill SwarmUI's placeholders and strip what it does not allow."""
        self._increment += 1
        now = time.strftime("%Y %m %d %H %M").split()
        values = dict(zip(("year", "month", "day", "hour", "minute"), now, strict=True))
        values |= {"request_time_inc": f"{self._increment:03}", "prompt": prompt, "model": model.rsplit("/", 1)[-1]}
        text = template or DEFAULT_FORMAT
        for key, value in values.items():
            text = text.replace(f"[{key}]", value.replace("/", "").replace("\\", "")[:40].strip())
        return re.sub(r"/+", "/", FORBIDDEN.sub("", text)).strip("/ ") or "unnamed"

    def _free_name(self, user: str, wanted: str, extension: str) -> str:
        number = 0
        while True:
            name = f"{wanted}{f'-{number}' if number else ''}"
            key = f"{user}/{name}"
            if key not in self._blocked and not self._exists(user, name):
                self._blocked.add(key)
                return f"{name}.{extension}"
            number += 1

    def _exists(self, user: str, name: str) -> bool:
        return any((self.folder(user) / f"{name}{extension}").exists() for extension in LISTED)

    def inside(self, user: str, path: str) -> Path | None:
        """The file or folder at `path` below the user's root; None when it points outside."""
        root = self.folder(user).resolve()
        target = (root / path.lstrip("/")).resolve()
        return target if target == root or root in target.parents else None

    def list(self, *, user: str, path: str, depth: int, by_date: bool, reverse: bool, limit: int) -> dict[str, Any]:
        """SwarmUI's ListImages: newest first unless `reverse`."""
        folder = self.inside(user, path)
        if folder is None or not (folder.is_dir() or folder == self.folder(user).resolve()):
            raise ApplicationError("404, path not found.")
        folders = sorted(_folders(folder, depth))
        files = [file for each in [folder, *(folder / name for name in folders)] for file in _media_files(each)]
        files.sort(key=(lambda file: file.stat().st_mtime) if by_date else str, reverse=not reverse)
        return {"folders": folders, "files": [_listed(file, folder) for file in files[:limit]]}

    def delete(self, *, user: str, path: str) -> None:
        """`path` is relative to the user's root, not URL-encoded."""
        target = self.inside(user, path)
        if target is None or not target.is_file():
            raise ApplicationError("That file does not exist, cannot delete.")
        target.unlink()
        for suffix in SIDECARS:
            target.with_suffix(suffix).unlink(missing_ok=True)


def _folders(root: Path, depth: int) -> list[str]:
    if depth <= 0 or not root.is_dir():
        return []
    found = [entry for entry in root.iterdir() if entry.is_dir()]
    deeper = [f"{entry.name}/{name}" for entry in found for name in _folders(entry, depth - 1)]
    return [entry.name for entry in found] + deeper


def _media_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return [file for file in folder.iterdir() if file.suffix in LISTED and ".swarmpreview" not in file.name]


def _listed(file: Path, folder: Path) -> dict[str, Any]:
    sidecar = file.with_suffix(".swarm.json")
    return {
        "src": file.relative_to(folder).as_posix(),
        "metadata": sidecar.read_text() if sidecar.is_file() else None,
    }

"""Checks of videos that come from outside, and the small files made of them; all in a limited process."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from django.utils.translation import gettext_noop

from generation.limits import CHILD_ENVIRONMENT
from generation.services.media_worker import Facts as VideoFacts

__all__ = ["MediaTrouble", "NotAVideo", "VideoFacts", "check_video", "derive"]

WORKER = "generation.services.media_worker"
MAX_FRAMES = 2000
MAX_SECONDS = 60.0
TIMEOUT_S = 300.0
_ROOT = Path(__file__).resolve().parents[2]


class MediaTrouble(Exception):
    """Looking failed for a reason of our own, a full disk for example; nothing is known about the video."""


class NotAVideo(Exception):
    """The file is no video that we take: `code` (damaged, bad_codec, too_long, too_large, bad_rate), and a sentence."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def check_video(path: Path) -> VideoFacts:
    """Decode all frames of an H.264 or H.265 MP4, at most 2,000 frames and 60 s. Raises NotAVideo, MediaTrouble."""
    return _ask({"path": str(path)})


def derive(path: Path, *, poster: Path, loop: Path, label: str = "") -> VideoFacts:
    """Like `check_video`, and write a JPEG of the first frame (960 px) and a short silent MP4 (320 px) to loop.

    With `label` the video is replaced by a copy that has these words drawn into it, and so have poster and loop.
    """
    order = {"path": str(path), "poster": str(poster), "loop": str(loop)}
    if not label:
        return _ask(order)
    labelled = path.with_suffix(".labelled.mp4")
    facts = _ask(order | {"labelled": str(labelled), "label": label})
    os.replace(labelled, path)
    return facts


def _ask(order: dict[str, Any]) -> VideoFacts:
    order |= {"parent_pid": os.getpid(), "max_frames": MAX_FRAMES, "max_seconds": MAX_SECONDS}
    with subprocess.Popen(
        [sys.executable, "-m", WORKER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=_ROOT,
        env=CHILD_ENVIRONMENT,
        text=True,
    ) as process:
        answer = _answer(process, json.dumps(order) + "\n")
    if "facts" in answer:
        return VideoFacts(**answer["facts"])
    raise NotAVideo(answer["refused"], answer["message"])


def _answer(process: subprocess.Popen[str], line: str) -> dict[str, Any]:
    try:
        out, _ = process.communicate(line, timeout=TIMEOUT_S)
        answer: dict[str, Any] = json.loads(out)
    except subprocess.TimeoutExpired:
        return {"refused": "too_large", "message": gettext_noop("Looking at the video took too long.")}
    except ValueError as exc:
        if (process.returncode or 0) < 0:
            return {"refused": "damaged", "message": gettext_noop("The video could not be decoded within the limits.")}
        raise MediaTrouble(gettext_noop("The process that looks at videos failed.")) from exc
    finally:
        process.kill()
    return answer

"""How a request ends: a video with the asked shape, one that drifted from it, or an error in fal's form."""

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tests.simulators.fal.errors import problem
from tests.simulators.fal.files import NoPictureError, Stored, picture, ratio_of
from tests.simulators.fal.jobs import Job
from tests.simulators.swarmui import video
from tests.simulators.swarmui.messages import JsonObject
from tests.simulators.swarmui.video import Clip

if TYPE_CHECKING:
    from tests.simulators.fal.world import World

NO_FILE = "Failed to download the file. Please check if the URL is accessible and try again."
PLATFORM_FAILURES = {"fail_runner": (503, "The runner disconnected.", "runner_disconnected")}
# status, what the entry says, its type, and whether fal calls it retryable
MODEL_FAILURES = {
    "fail_input": (422, "Input should be greater than or equal to 17", "greater_than_equal", False),
    "fail_policy": (
        422,
        "The content could not be processed because it was flagged.",
        "content_policy_violation",
        False,
    ),
    "fail_download": (422, NO_FILE, "file_download_error", False),
    "fail_internal": (500, "Internal server error", "internal_server_error", True),
    "fail_generation_timeout": (504, "Generation timeout", "generation_timeout", True),
}
WHERE = {"fail_input": ["num_frames"], "fail_policy": ["prompt"], "fail_download": ["image_url"]}
MARK_BYTES = 64
EXPANDERS = ("enable_prompt_expansion", "prompt_optimizer")


class Outcome:
    def __init__(self, world: "World") -> None:
        self._world = world
        self._renders: dict[str, asyncio.Task[bytes]] = {}

    def prepare(self, job: Job) -> None:
        """Begin to encode its video, so that nobody waits for it when it is due."""
        doomed = job.fates & (set(MODEL_FAILURES) | set(PLATFORM_FAILURES))
        if not doomed and not job.endpoint.problems(job.given):
            self._renders[job.id] = asyncio.create_task(self._render(job))

    async def close(self) -> None:
        for task in self._renders.values():
            task.cancel()
        await asyncio.gather(*self._renders.values(), return_exceptions=True)

    def is_ready(self, job: Job) -> bool:
        """Whether nobody has to wait for its video."""
        return job.id not in self._renders or self._renders[job.id].done()

    async def film(self, job: Job) -> bytes | None:
        """Its video; None when there is none to be had."""
        try:
            return await self._renders[job.id] if job.id in self._renders else None
        except NoPictureError:
            return None

    def decide(self, job: Job, film: bytes | None) -> None:
        """Give it its result or its error."""
        self._renders.pop(job.id, None)
        problems = job.endpoint.problems(job.given)
        if problems:
            self._fail(job, 422, problems, retryable=False)
        elif self._fail_as_scripted(job):
            pass
        elif film is None:
            where = job.no_picture or "image_url"
            entry = problem([where], NO_FILE, "file_download_error", job.given.get(where))
            self._fail(job, 422, [entry], retryable=False)
        else:
            self._succeed(job, film)

    def _fail_as_scripted(self, job: Job) -> bool:
        for fate in job.fates:
            if fate in PLATFORM_FAILURES:
                self.fail_flat(job, *PLATFORM_FAILURES[fate])
                return True
            if fate in MODEL_FAILURES:
                status, words, kind, retryable = MODEL_FAILURES[fate]
                where = WHERE.get(fate, [])
                given = job.given.get(where[0]) if where else None
                self._fail(job, status, [problem(where, words, kind, given)], retryable=retryable)
                return True
        return False

    @staticmethod
    def _fail(job: Job, status: int, entries: list[JsonObject], *, retryable: bool) -> None:
        job.code, job.output = status, {"detail": entries}
        job.error = f"Invalid status code: {status}"
        job.answer_headers["x-fal-retryable"] = str(retryable).lower()

    @staticmethod
    def fail_flat(job: Job, status: int, words: str, kind: str) -> None:
        """An error of the platform, not of the model."""
        job.code, job.output = status, {"detail": words, "error_type": kind}
        job.error, job.error_type = words, kind
        job.answer_headers["x-fal-error-type"] = kind

    def _succeed(self, job: Job, data: bytes) -> None:
        path = self._world.shelf.new_path("output.mp4")
        self._shelve(job, path, data)
        job.media.append(path)
        job.code, job.error = 200, ""
        job.output = {} if job.has("link_missing") else {"video": self._file(job, path, len(data))}
        job.output |= self._told(job)
        if not job.has("no_units"):
            usd = job.price * (2 if job.has("double_units") else 1)
            job.answer_headers["x-fal-billable-units"] = f"{job.endpoint.units(usd):f}"

    def _shelve(self, job: Job, path: str, data: bytes) -> None:
        world = self._world
        content_type = "video/mp4"
        if job.has("link_garbage"):
            data, content_type = b"<!doctype html><title>Sign in</title>", "text/html"
        stored = world.shelf.put(path, data, content_type=content_type, expires_at=self._expiry(job))
        _spoil(stored, job, world.now)

    def _file(self, job: Job, path: str, size: int) -> JsonObject:
        base = self._world.urls["media"]
        if job.has("link_wrong_host"):
            base = base.replace("127.0.0.1", "localhost")
        return {"url": base + path, "content_type": "video/mp4", "file_name": path[-10:], "file_size": size}

    def _told(self, job: Job) -> JsonObject:
        """Seed and prompt that were used, as far as the endpoint tells them."""
        seed = job.values.get("seed")
        if seed is None or job.has("drift_seed"):
            seed = self._world.random.randrange(1, 2**31)
        prompt = str(job.values.get("prompt") or "")
        if job.has("drift_prompt") or any(job.values.get(name) for name in EXPANDERS):
            prompt = f"{prompt} Cinematic light, slow camera, highly detailed."
        known: JsonObject = {} if job.has("silent_prompt") else {"prompt": prompt, "actual_prompt": prompt}
        if not job.has("silent_seed"):
            known["seed"] = seed
        return {name: known[name] for name in job.endpoint.tells if name in known}

    def _expiry(self, job: Job) -> float | None:
        return expiry(self._world, job.headers.get("x-fal-object-lifecycle-preference", ""))

    async def _render(self, job: Job) -> bytes:
        data, end = [await self._picture(job, name) for name in ("image_url", "end_image_url")]
        ratio = await ratio_of(data) if data is not None else 16 / 9
        clip = _drifted(job, job.set_price(ratio))
        if self._world.script.cheap:
            shared = await asyncio.to_thread(video.encode_shared, clip)
            return shared + video.free_box(MARK_BYTES, job.id.encode().ljust(MARK_BYTES - 8, b" "))
        return await asyncio.to_thread(video.encode, data, clip, end)

    async def _picture(self, job: Job, name: str) -> bytes | None:
        """What the field points at, and a word in the job when it cannot be had."""
        if not (url := job.given.get(name)):
            return None
        try:
            data = await picture(self._world.shelf, str(url))
            await ratio_of(data)
        except NoPictureError:
            job.no_picture = name
            raise
        return data


def expiry(world: "World", preference: str) -> float | None:
    """When a file goes: as the header asks, or after the account's usual time; None: never."""
    seconds: Any = world.script.media_seconds
    if preference:
        try:
            seconds = json.loads(preference).get("expiration_duration_seconds", seconds)
        except (ValueError, AttributeError):
            world.violations.append("a lifecycle preference that is no JSON object")
    return None if not seconds else world.now + float(seconds)


def _drifted(job: Job, clip: Clip) -> Clip:
    if job.has("drift_frames"):
        clip = replace(clip, frames=max(2, clip.frames - 12))
    if job.has("drift_fps"):
        clip = replace(clip, fps=clip.fps + 8)
    if job.has("drift_resolution"):
        clip = replace(clip, width=max(64, clip.width // 32 * 16), height=max(64, clip.height // 32 * 16))
    return clip


def _spoil(stored: Stored, job: Job, now: float) -> None:
    if job.has("link_404"):
        stored.fails = 10**9
    if job.has("link_fails_once"):
        stored.fails = 1
    if job.has("link_expired"):
        stored.expires_at = now
    stored.cut = job.has("link_truncated")

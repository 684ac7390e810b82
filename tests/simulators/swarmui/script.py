"""How the simulated server behaves: every knob that can be turned from outside while it runs."""

from dataclasses import asdict, dataclass, field, fields
from typing import Any

# Named faults: when they strike, and SwarmUI's text. Any other text given to `fail_next` strikes while rendering.
# Stages: parse, queue, begin (in Comfy's hands), middle, end, save.
FAULTS: dict[str, tuple[str, str]] = {
    "silent": ("parse", ""),
    "no_backends": ("queue", "No backends available!"),
    "timeout": ("queue", "Timeout! All backends are occupied with other tasks."),
    "shutting_down": ("queue", "Backend handler is shutting down."),
    "load_failed": (
        "load",
        "All available backends failed to load the model '{model_path}'.\n\nPossible reason: Model loader failed.",
    ),
    "model_download": ("begin", "Required model download failed."),
    "lora_missing": ("begin", "LoRA Model 'Wan/gone' not found in the model set."),
    "gguf": (
        "begin",
        "Model 'Wan/wan2.2.gguf' is in GGUF format, but the server does not have GGUF support installed. Cannot run.",
    ),
    "model_loader": (
        "begin",
        "Model loader for Wan/x.safetensors didn't work - are you sure it has an architecture ID set properly? "
        "(Currently set to: '')",
    ),
    "comfy_rejected": (
        "begin",
        'ComfyUI errored: {"error": {"type": "prompt_outputs_failed_validation", "message": "Prompt outputs failed '
        'validation"}, "node_errors": {"4": {"errors": [{"type": "value_not_in_list"}]}}}',
    ),
    "oom": ("middle", "ComfyUI execution error: Allocation on device "),
    "cuda_oom": ("middle", "ComfyUI execution error: CUDA error: out of memory"),
    "execution": (
        "middle",
        "ComfyUI execution error: mat1 and mat2 shapes cannot be multiplied (77x768 and 4096x5120)",
    ),
    "comfy_died": ("middle", "Something went wrong while generating images."),
    "no_images": ("end", "No images were generated (all refused, or failed - check server logs for details)."),
    "save_failed": ("save", "Server failed to save an image."),
}


@dataclass(frozen=True, slots=True)
class Fault:
    stage: str
    text: str


@dataclass(kw_only=True)
class Script:
    """Every time is in seconds and is multiplied by `time_scale`, SwarmUI's own waits (2 s grace, 30 s) too."""

    time_scale: float = 1.0
    seconds: float = 10.0  # one render on the GPU
    load_seconds: float = 5.0  # loading another model
    boot_seconds: float = 0.0  # backends are "loading" this long after a start
    gap_seconds: float = 0.05  # Comfy's own pause between two queued renders
    base_stage_seconds: float = 5.0  # extra, when initimagecreativity is not 0
    hash_seconds: float = 0.0  # pause in parsing at the first use of a model

    bandwidth_mbit_s: float = 0.0  # per connection and direction; 0: as fast as it goes
    result_mb: float = 0.0  # results are padded to this size, still valid videos
    cheap: bool = False  # one encoded video per size and length serves all jobs (made different by a box at its end)
    progress_steps: int = 12
    previews: bool = True
    preview_kb: int = 0  # previews are padded to this size
    odd_preview_index: bool = True  # one preview's batch_index is a number, as Comfy's second preview has it

    fail_next: list[str] = field(default_factory=list)  # one per coming request, a name of FAULTS or a text
    fail_at: float = 0.5  # where in the render a "middle" fault strikes
    load_fail_next: int = 0
    drop_socket_after: float | None = None  # cut the socket so long after the render began; the render goes on
    drop_sockets: int = 1  # how many sockets `drop_socket_after` cuts
    drop_next: int = 0  # cut the next n API calls instead of answering
    http_error_next: list[int] = field(default_factory=list)  # a proxy's HTML page instead of the next answers
    view_error_next: list[int] = field(default_factory=list)  # the same for downloads
    cut_downloads: int = 0  # the next n downloads break off half-way
    no_answer_seconds: float = 0.0  # every API answer, and a socket's first message, waits so long
    stall_seconds: float = 0.0  # silence in the middle of every render

    authorization: str = ""  # Network.RequiredAuthorization
    authorization_required: bool = False  # UserAuthorization.AuthorizationRequired, without a valid cookie
    denied_permissions: list[str] = field(default_factory=list)
    features: list[str] = field(default_factory=lambda: ["comfyui", "text2image", "video", "folderbackslash"])
    gpus_visible: bool = True
    list_limit: int = 1000

    def update(self, changes: dict[str, Any]) -> None:
        """Turn knobs. Raises ValueError for a name that does not exist."""
        known = {item.name for item in fields(self)}
        for name, value in changes.items():
            if name not in known:
                raise ValueError(f"no such knob: {name}")
            is_list = isinstance(getattr(self, name), list)
            setattr(self, name, [value] if is_list and not isinstance(value, list) else value)

    def take_fault(self) -> Fault | None:
        """The fault of the next request, if one is scripted."""
        if not self.fail_next:
            return None
        name = self.fail_next.pop(0)
        return Fault(*FAULTS.get(name, ("middle", name)))

    def take_drop(self) -> float | None:
        """After how many seconds this render's socket is cut, if it is."""
        if self.drop_socket_after is None or self.drop_sockets <= 0:
            return None
        self.drop_sockets -= 1
        return self.drop_socket_after

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

"""The table of generation parameters: names, ranges, choices."""

from dataclasses import dataclass

INTEGER, DECIMAL, BOOLEAN, TEXT, DROPDOWN, MODEL, LIST, IMAGE = (
    "integer",
    "decimal",
    "boolean",
    "text",
    "dropdown",
    "model",
    "list",
    "image",
)
SAMPLERS = ("euler", "euler_ancestral", "heun", "dpmpp_2m", "dpmpp_2m_sde", "lcm", "ddim", "uni_pc", "res_multistep")
SCHEDULERS = ("normal", "karras", "exponential", "simple", "ddim_uniform", "sgm_uniform", "beta")


def clean_id(text: str) -> str:
    """SwarmUI's parameter id: only the letters a-z, in lower case."""
    return "".join(letter for letter in text.lower() if "a" <= letter <= "z")


@dataclass(frozen=True, slots=True)
class Param:
    name: str
    kind: str
    minimum: float = 0
    maximum: float = 0
    default: str = ""
    values: tuple[str, ...] = ()
    subtype: str = ""
    ignore: str | None = None
    permission: str = ""

    @property
    def id(self) -> str:
        return clean_id(self.name)


def _video(name: str, kind: str, minimum: float = 0, maximum: float = 0, default: str = "", **more: object) -> Param:
    return Param(name, kind, minimum, maximum, default, permission="param_video", **more)  # type: ignore[arg-type]  # forwarded


_TABLE = (
    Param("Model", MODEL, subtype="Stable-Diffusion", permission="model_params"),
    Param("Prompt", TEXT),
    Param("Negative Prompt", TEXT, ignore=""),
    Param("Init Image", IMAGE),
    Param("Init Image Creativity", DECIMAL, 0, 1, "0.6"),
    Param("Width", INTEGER, 64, 16384, "512"),
    Param("Height", INTEGER, 64, 16384, "512"),
    Param("Raw Resolution", TEXT),
    Param("Aspect Ratio", DROPDOWN, default="1:1", values=("1:1", "4:3", "3:2", "8:5", "16:9", "21:9", "2:3", "9:16")),
    Param("Side Length", INTEGER, 64, 16384, "512"),
    Param("Seed", INTEGER, -1, 2**63 - 1, "-1"),
    Param("Images", INTEGER, 1, 10000, "1"),
    Param("No Seed Increment", BOOLEAN),
    Param("Batch Size", INTEGER, 1, 100, "1"),
    Param("Steps", INTEGER, 0, 500, "20"),
    Param("CFG Scale", DECIMAL, 0, 100, "7"),
    Param("Sampler", DROPDOWN, default="euler", values=SAMPLERS),
    Param("Scheduler", DROPDOWN, default="normal", values=SCHEDULERS),
    Param("Sigma Shift", DECIMAL, 0, 100, "3"),
    Param("LoRAs", LIST, subtype="LoRA", ignore=""),
    Param("LoRA Weights", TEXT, ignore=""),
    Param("LoRA Tenc Weights", TEXT, ignore=""),
    Param("LoRA Section Confinement", TEXT, ignore=""),
    Param("Do Not Save", BOOLEAN),
    Param("Do Not Save Intermediates", BOOLEAN),
    Param("Output Intermediate Images", BOOLEAN),
    Param("Continue After Errors", BOOLEAN),
    Param("Forward Raw Backend Data", BOOLEAN),
    Param("Forward Swarm Data", BOOLEAN),
    Param("No Load Models", BOOLEAN),
    Param("No Previews", BOOLEAN),
    Param("Personal Note", TEXT, ignore=""),
    Param("Override Outpath Format", TEXT, ignore=""),
    Param("Webhooks", DROPDOWN, default="Normal", values=("None", "Normal", "Manual", "Manual At End")),
    Param("Exact Backend ID", TEXT, ignore="", permission="param_backend_id"),
    Param("Internal Backend Type", TEXT, ignore="Any", permission="param_backend_type"),
    Param("VAE Tile Size", INTEGER, 16, 4096, "256"),
    Param("VAE Tile Overlap", INTEGER, 16, 4096, "64"),
    Param("VAE Temporal Tile Size", INTEGER, 8, 4096, "32"),
    Param("VAE Temporal Tile Overlap", INTEGER, 4, 4096, "4"),
    Param("T5-XXL Model", MODEL, subtype="Clip", ignore=""),
    Param("VAE", MODEL, subtype="VAE", ignore="None"),
    _video("Video Model", MODEL, subtype="Stable-Diffusion", ignore=""),
    _video("Video Swap Model", MODEL, subtype="Stable-Diffusion", ignore=""),
    _video("Video Swap Percent", DECIMAL, 0, 1, "0.5"),
    _video("Video Frames", INTEGER, 1, 1000, "25"),
    _video("Video Steps", INTEGER, 1, 200, "20"),
    _video("Video CFG", DECIMAL, 1, 100, "7"),
    _video("Video FPS", INTEGER, 1, 1024, "24"),
    _video(
        "Video Resolution",
        DROPDOWN,
        default="Image Aspect, Model Res",
        values=("Image Aspect, Model Res", "Model Preferred", "Image"),
    ),
    _video(
        "Video Format",
        DROPDOWN,
        default="h264-mp4",
        values=("webp", "gif", "gif-hd", "webm", "h264-mp4", "h265-mp4", "prores"),
    ),
    _video("Video Boomerang", BOOLEAN),
    _video("Video End Image", IMAGE),
    _video("Video2Video Creativity", DECIMAL, 0, 1, "1"),
    _video("Trim Video Start Frames", INTEGER, 0, 1000, "0"),
    _video("Trim Video End Frames", INTEGER, 0, 1000, "0"),
    _video("Video Preview Type", DROPDOWN, default="animate", values=("animate", "iterate", "one", "none")),
    _video("Video Frame Interpolation Multiplier", INTEGER, 1, 10, "1", ignore="1"),
    _video("Video Frame Interpolation Method", DROPDOWN, default="RIFE", values=("RIFE", "FILM", "GIMM-VFI")),
    _video("Video Min CFG", DECIMAL, -1, 100, "1"),
    _video("Video Motion Bucket", INTEGER, 1, 1023, "127"),
    _video("Video Augmentation Level", DECIMAL, 0, 10, "0"),
)
PARAMS = {param.id: param for param in _TABLE}
# An old key that SwarmUI still maps.
RENAMED = {"textvideoformat": "videoformat"}

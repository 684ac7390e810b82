"""Installed models and LoRAs, as SwarmUI lists them."""

from dataclasses import dataclass, field, replace
from typing import Any

WAN22_14B = "wan-2_2-image2video-14b"
HIGH = "Wan/wan2.2_i2v_high_noise_14B_fp8_scaled.safetensors"
LOW = "Wan/wan2.2_i2v_low_noise_14B_fp8_scaled.safetensors"
LIGHTNING_HIGH = "Wan/wan22_lightning_i2v_high.safetensors"
LIGHTNING_LOW = "Wan/wan22_lightning_i2v_low.safetensors"

SUBTYPES = ("Stable-Diffusion", "LoRA", "VAE", "Embedding", "ControlNet", "Clip", "ClipVision")


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoClass:
    """What a model class takes when a parameter is left out."""

    frames: int
    cfg: float
    fps: int
    side: int  # of the square with the model's standard number of pixels


VIDEO_CLASSES = {
    WAN22_14B: VideoClass(frames=49, cfg=3.5, fps=24, side=960),
    "wan-2_1-image2video-14b": VideoClass(frames=81, cfg=6, fps=24, side=640),
    "wan-2_2-ti2v-5b": VideoClass(frames=49, cfg=5, fps=22, side=960),
}
OTHER_CLASS = VideoClass(frames=25, cfg=7, fps=24, side=1024)


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    name: str
    subtype: str = "Stable-Diffusion"
    architecture: str = ""
    title: str = ""
    special_format: str = ""

    @property
    def video_class(self) -> VideoClass:
        return VIDEO_CLASSES.get(self.architecture, OTHER_CLASS)

    @property
    def side(self) -> int:
        return self.video_class.side

    @property
    def short_name(self) -> str:
        return self.name.removesuffix(".safetensors")

    def described(self, *, loaded: bool) -> dict[str, Any]:
        """SwarmUI's model object."""
        return {
            "name": self.name,
            "title": self.title or self.short_name.rsplit("/", 1)[-1],
            "author": "",
            "description": "",
            "preview_image": "imgs/model_placeholder.jpg",
            "loaded": loaded,
            "architecture": self.architecture or None,
            "class": self.architecture or None,
            "compat_class": "wan-22-14b" if self.architecture == WAN22_14B else self.architecture or None,
            "resolution": f"{self.side}x{self.side}",
            "standard_width": self.side,
            "standard_height": self.side,
            "license": "",
            "date": "",
            "prediction_type": "",
            "usage_hint": "",
            "trigger_phrase": "",
            "merged_from": "",
            "tags": [],
            "is_supported_model_format": True,
            "is_negative_embedding": False,
            "lora_default_weight": "",
            "lora_default_confinement": "",
            "local": True,
            "time_created": 1755734400000,
            "time_modified": 1755734400000,
            "hash": "",
            "hash_sha256": "",
            "special_format": self.special_format,
        }


def _installed() -> list[Model]:
    return [
        Model(name=HIGH, architecture=WAN22_14B, special_format="fp8_scaled"),
        Model(name=LOW, architecture=WAN22_14B, special_format="fp8_scaled"),
        Model(name="Wan/wan2.1_i2v_480p_14B_fp8_scaled.safetensors", architecture="wan-2_1-image2video-14b"),
        Model(name="Wan/wan2.2_ti2v_5B_fp16.safetensors", architecture="wan-2_2-ti2v-5b"),
        Model(name="OfficialStableDiffusion/sd_xl_base_1.0.safetensors", architecture="stable-diffusion-xl-v1-base"),
        Model(name=LIGHTNING_HIGH, subtype="LoRA", architecture="wan-2_1-text2video-14b/lora"),
        Model(name=LIGHTNING_LOW, subtype="LoRA", architecture="wan-2_1-text2video-14b/lora"),
        Model(name="style/watercolour.safetensors", subtype="LoRA", architecture="stable-diffusion-xl-v1-base/lora"),
        Model(name="Wan/wan_2.1_vae.safetensors", subtype="VAE"),
        Model(name="umt5_xxl_fp8_e4m3fn_scaled.safetensors", subtype="Clip"),
    ]


@dataclass
class Catalogue:
    models: list[Model] = field(default_factory=_installed)

    def of(self, subtype: str) -> list[Model]:
        return sorted((model for model in self.models if model.subtype == subtype), key=lambda model: model.name)

    def exact(self, name: str, subtype: str = "Stable-Diffusion") -> Model | None:
        """By full name; only `.safetensors` may be left off."""
        found = [model for model in self.of(subtype) if name in (model.name, model.short_name)]
        return found[0] if found else None

    def fuzzy(self, name: str, subtype: str = "Stable-Diffusion") -> Model | None:
        """The way SwarmUI matches parameters: exact, else the shortest listed name containing the text."""
        wanted = cleaned(name)
        models = self.of(subtype)
        exact = [model for model in models if cleaned(model.name) == wanted]
        containing = [model for model in models if wanted in cleaned(model.name)]
        found = exact or sorted(containing, key=lambda model: len(model.name))
        return found[0] if found else None

    def add(self, name: str, *, subtype: str = "Stable-Diffusion", architecture: str = "") -> None:
        self.models.append(Model(name=name, subtype=subtype, architecture=architecture))

    def replace(self, old: Model, **changes: str) -> None:
        self.models = [replace(model, **changes) if model is old else model for model in self.models]

    def remove(self, name: str) -> None:
        self.models = [model for model in self.models if name not in (model.name, model.short_name)]


def cleaned(name: str) -> str:
    return name.lower().replace(" ", "").replace("[", "").replace("]", "").removesuffix(".safetensors")

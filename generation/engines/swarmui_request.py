"""The parameters of one image-to-video request, as SwarmUI's Wan 2.2 workflow wants them."""

import re
import unicodedata
from typing import Any

from generation.engines.base import RenderRequest

INTERPOLATION = "RIFE"
# SwarmUI's section ids: 0 applies a LoRA everywhere, 2 to the video (high noise) model, 3 to the swap (low noise) one.
_SECTIONS = {"all": "0", "high": "2", "low": "3"}

# Tags are written with angle brackets, weights with round ones, the text encoder node's own marks with square ones and
# backslashes. Full-width forms read the same and are not interpreted; Wan's umt5 tokenizer folds them back (NFKC).
_LOOK_ALIKES = str.maketrans("<>()[]\\", "\uff1c\uff1e\uff08\uff09\uff3b\uff3d\uff3c")
# ComfyUI's tokenizers load a file for every word that starts like this.
_EMBEDDING = re.compile(r"(?i)(embedding):")


def output_path(nonce: str) -> str:
    """Where SwarmUI is told to save the video, below the user's folder and without the extension."""
    return f"raw/jobs/{nonce}"


def parameters(request: RenderRequest) -> dict[str, Any]:
    """Everything but the session and the pictures. Numbers are ours; texts are neutralised."""
    values: dict[str, Any] = {
        # Omitted values are not the ones that SwarmUI's own page sends, so nothing is left to them.
        "images": 1,
        "model": request.model,
        "prompt": prompt_text(request.prompt, allow_syntax=request.allow_prompt_syntax),
        "negativeprompt": prompt_text(request.negative_prompt, allow_syntax=request.allow_prompt_syntax),
        # 0 hands the picture itself to the video stage; left out, it acts as 1 and draws another picture first.
        "initimagecreativity": 0,
        "width": request.width,
        "height": request.height,
        "videoresolution": "Image",
        "seed": request.seed,
        "videomodel": request.model,
        "videoframes": request.frames,
        "videofps": request.fps,
        "videosteps": request.steps,
        "videocfg": request.cfg_scale,
        "videoformat": "h264-mp4",
        "overrideoutpathformat": output_path(request.nonce),
        "personalnote": request.nonce,
    }
    if request.low_noise_model:
        values |= {"videoswapmodel": request.low_noise_model, "videoswappercent": request.swap_percent}
    if request.loras:
        values |= {
            "loras": ",".join(lora.name for lora in request.loras),
            "loraweights": ",".join(f"{lora.weight:g}" for lora in request.loras),
            "lorasectionconfinement": ",".join(_SECTIONS[lora.stage] for lora in request.loras),
        }
    if request.interpolate > 1:
        # One without the other does nothing. The speed is multiplied as well, so the video stays as long.
        values |= {
            "videoframeinterpolationmultiplier": request.interpolate,
            "videoframeinterpolationmethod": INTERPOLATION,
        }
    optional = {"sampler": request.sampler, "scheduler": request.scheduler}
    return values | {key: value for key, value in optional.items() if value}


def prompt_text(text: str, *, allow_syntax: bool) -> str:
    """What a person typed, as words only: SwarmUI's and ComfyUI's prompt syntax in it is not interpreted."""
    # SwarmUI marks embeddings internally with NULs; no control character is a word.
    text = "".join(char for char in text if char in "\n\t" or unicodedata.category(char) not in ("Cc", "Cs"))
    if allow_syntax:
        return text
    return _EMBEDDING.sub("\\1\uff1a", text.translate(_LOOK_ALIKES))

"""Signs and reads C2PA marks in a limited process: `python -m generation.services.provenance_worker`. Knows no Django.

In on stdin: one line of JSON (Order).
Out on stdout: one line of JSON: {"read": [Found of each path]} or {"failed": sentence}.
"""

import json
import os
import sys
from dataclasses import asdict, dataclass, field
from typing import Any

from generation.limits import die_with_parent, limit_resources

MEMORY_BYTES = 512 * 1024**2
CPU_SECONDS = 240
FORMAT = "video/mp4"
CREATED = "c2pa.created"
MODEL = "i2v.model"  # our own parameter of the action
# The library takes up to 256 MB into memory otherwise: it hashes in pieces, and what it copies goes to TMPDIR.
_PIECES = {"merkle_tree_chunk_size_in_kb": 8192, "backing_store_memory_threshold_in_mb": 4}


@dataclass(frozen=True, slots=True)
class Order:
    parent_pid: int
    paths: list[str]
    anchors_pem: str = ""
    # For signing; without a key the paths are only read. The signed copy of "video" is written to "video.signed".
    algorithm: str = ""
    key_pem: str = field(default="", repr=False)
    chain_pem: str = ""
    manifest: dict[str, Any] = field(default_factory=dict)
    media_type: str = FORMAT
    # MP4s that the signed file is made of: path, label (as in the manifest's actions), relationship.
    ingredients: list[dict[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Found:
    """What a file says about itself, and whether that can be believed."""

    present: bool = False
    intact: bool = False
    trusted: bool = False
    issuer: str = ""
    software: str = ""
    model: str = ""
    source_type: str = ""
    problems: list[str] = field(default_factory=list)


def main() -> None:
    order = Order(**json.loads(sys.stdin.readline()))
    die_with_parent(order.parent_pid)
    limit_resources(memory_bytes=MEMORY_BYTES, cpu_seconds=CPU_SECONDS)
    import c2pa

    try:
        answer: dict[str, Any] = {"read": [asdict(_done(order, path)) for path in order.paths]}
    except (c2pa.C2paError, OSError, MemoryError) as exc:
        answer = {"failed": f"{type(exc).__name__}: {exc}"}
    sys.stdout.write(json.dumps(answer) + "\n")


def _done(order: Order, path: str) -> Found:
    if not order.key_pem:
        return _read(order, path)
    _sign(order, path, f"{path}.signed")
    return _read(order, f"{path}.signed")


def _context(anchors_pem: str = "") -> Any:
    import c2pa

    settings: dict[str, Any] = {
        # The defaults fetch addresses that stand inside the file.
        "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False, "verify_after_sign": False},
        "core": {"allowed_network_hosts": [], **_PIECES},
        # By default nobody notices what is written into a file's gaps.
        "builder": {"thumbnail": {"enabled": False}, "bmff_hash_exclude_free_and_skip_boxes": False},
    }
    if anchors_pem:
        settings["trust"] = {"user_anchors": anchors_pem}
    return c2pa.Context.from_dict(settings)


def _sign(order: Order, path: str, signed_path: str) -> None:
    import c2pa

    # No timestamp authority: signing must not need anybody else's server.
    info = c2pa.C2paSignerInfo(order.algorithm, order.chain_pem.encode(), order.key_pem.encode(), None)
    with (
        open(path, "rb") as video,
        open(signed_path, "w+b") as signed,
        c2pa.Signer.from_info(info) as signer,
        c2pa.Builder(order.manifest, _context(order.anchors_pem)) as builder,
    ):
        for ingredient in order.ingredients:
            about = {"title": "Video", **{name: ingredient[name] for name in ("label", "relationship")}}
            with open(ingredient["path"], "rb") as part:
                builder.add_ingredient(json.dumps(about), FORMAT, part)
        builder.sign(signer, order.media_type, video, signed)
        signed.flush()
        os.fsync(signed.fileno())


def _read(order: Order, path: str) -> Found:
    import c2pa

    with open(path, "rb") as video:
        try:
            reader = c2pa.Reader.try_create(order.media_type, video, None, _context(order.anchors_pem))
        except c2pa.C2paError as exc:
            return Found(problems=[str(exc)])  # a mark that is broken, or kept elsewhere
        if reader is None:
            return Found()
        with reader:
            return _found(json.loads(reader.json()))


def _found(report: dict[str, Any]) -> Found:
    state = report.get("validation_state")
    manifest = report["manifests"][report["active_manifest"]]
    action = _telling(manifest)
    software = (manifest.get("claim_generator_info") or [{}])[0]
    return Found(
        present=True,
        intact=state in ("Valid", "Trusted"),
        trusted=state == "Trusted",
        issuer=str((manifest.get("signature_info") or {}).get("issuer", "")),
        software=f"{software.get('name', '')} {software.get('version', '')}".strip(),
        model=str((action.get("parameters") or {}).get(MODEL, "")),
        source_type=str(action.get("digitalSourceType", "")),
        problems=[str(status.get("code")) for status in report.get("validation_status") or []],
    )


def _telling(manifest: dict[str, Any]) -> dict[str, Any]:
    """The action that says where it comes from: its making, or the change of a file that was made before."""
    for assertion in manifest.get("assertions") or []:
        if assertion["label"].startswith("c2pa.actions"):
            for action in assertion["data"].get("actions") or []:
                if action.get("action") == CREATED or "digitalSourceType" in action:
                    found: dict[str, Any] = action
                    return found
    return {}


if __name__ == "__main__":
    main()

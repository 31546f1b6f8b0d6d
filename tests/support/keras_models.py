"""Model directories for tests of the keras engine that load no network: a manifest, and files of any content."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

CONTENTS = {
    "detector.h5": b"weights of a detector",
    "recognizer.h5": b"weights of a recogniser",
    "detector.onnx": b"a detector for ONNX Runtime",
    "recognizer.onnx": b"a recogniser for ONNX Runtime",
    "detector.pth": b"weights of a detector in PyTorch's format",
    "recognizer.pth": b"weights of a recogniser in PyTorch's format",
}


def model_file(name: str, url: str | None = None) -> dict[str, str]:
    """A file as a manifest names it; `url` is that of the folder which has it."""
    named = {"file": name, "sha256": hashlib.sha256(CONTENTS[name]).hexdigest()}
    return {**named, "url": f"{url}/{name}"} if url else named


def manifest(*, url: str | None = None, onnx: bool = False, **changes: Any) -> dict[str, Any]:
    """A valid manifest with `changes` at its top level."""
    parts = {part: {"weights": model_file(f"{part}.h5", url)} for part in ("detector", "recognizer")}
    if onnx:
        for part, files in parts.items():
            files["onnx"] = model_file(f"{part}.onnx", url)
    return {
        "name": "made",
        "version": "1",
        "licence": "Apache-2.0",
        "languages": ["eng"],
        "detector": {**parts["detector"], "channel_divisor": 8},
        "recognizer": {**parts["recognizer"], "alphabet": "0123456789abc"},
        **changes,
    }


def write_manifest(folder: Path, content: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def write_files(folder: Path, *names: str) -> None:
    """The files by their names; without names, the weights for TensorFlow."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names or ("detector.h5", "recognizer.h5"):
        (folder / name).write_bytes(CONTENTS[name])

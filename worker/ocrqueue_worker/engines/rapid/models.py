"""The models that come in rapidocr's wheel: found without importing it, and never fetched."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from ocrqueue.errors import EngineUnavailable, EngineWeightsMissing

NAME: Final = "PP-OCRv6 small"
"""Detector and recogniser; the classifier is PP-OCR's mobile v2.0."""
_INSTALL: Final = "On the worker: pip install 'ocrqueue-worker[rapid]'."


@dataclass(frozen=True)
class Models:
    """Paths of ONNX files."""

    detector: Path
    classifier: Path
    recognizer: Path

    @property
    def identity(self) -> str:
        """Name, and twelve hex digits that change with any of the files' bytes."""
        return f"{NAME} {_digest(self.detector, self.classifier, self.recognizer)}"


def find_models() -> Models:
    """Raises EngineUnavailable where a package is not installed, EngineWeightsMissing where rapidocr lacks a model."""
    places = {}
    for package in ("rapidocr", "onnxruntime"):
        spec = find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise EngineUnavailable(f"The package {package} is not installed.", remedy=_INSTALL)
        places[package] = Path(spec.submodule_search_locations[0])
    folder = places["rapidocr"] / "models"
    models = Models(
        detector=folder / "PP-OCRv6_det_small.onnx",
        classifier=folder / "ch_ppocr_mobile_v2.0_cls_mobile.onnx",
        recognizer=folder / "PP-OCRv6_rec_small.onnx",
    )
    missing = [path.name for path in (models.detector, models.classifier, models.recognizer) if not path.is_file()]
    if missing:
        raise EngineWeightsMissing(
            f"{folder} lacks {', '.join(missing)}.",
            remedy="Install a version of rapidocr whose wheel has the models of PP-OCRv6 small: "
            "pip install --force-reinstall 'rapidocr>=3.10,<4'.",
        )
    return models


def runtime_version() -> str:
    """Of ONNX Runtime, which has several distributions."""
    for distribution in ("onnxruntime", "onnxruntime-gpu"):
        with suppress(PackageNotFoundError):
            return version(distribution)
    return "?"


@cache
def _digest(*files: Path) -> str:
    digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()[:12]

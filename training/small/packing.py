"""Makes the model directory from trained weights, and measures on pages never trained on what it reads."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from random import Random
from typing import Any, Final

import keras_ocr
import numpy as np

from ocrqueue.settings import load_settings
from ocrqueue_worker.engines.keras.architectures import build_detector
from ocrqueue_worker.engines.keras.exporting import export_model
from ocrqueue_worker.engines.keras.models import find_model
from training.small.detector import BACKBONE, CHANNEL_DIVISOR
from training.small.measuring import found
from training.small.pages import printed_page
from training.small.recognizer import BUILD
from training.small.text import ALPHABET, Language, vocabulary

_PAGES: Final = 12
_PAGE_PX: Final = (800, 600)
_TEXT_PX: Final = (12, 36)


def pack(weights: Path, output: Path) -> None:
    """Writes a model directory, ONNX files and all, to `output`, from the two weights files in `weights`."""
    plain = weights / "small-without-onnx"
    _pack(weights, plain)
    shutil.rmtree(output, ignore_errors=True)
    export_model(find_model(load_settings(keras_model=str(plain), keras_runtime="tensorflow")), output)


def _pack(weights: Path, output: Path) -> None:
    output.mkdir(parents=True, exist_ok=True)
    for name in ("detector.h5", "recognizer.h5"):
        shutil.copyfile(weights / name, output / name)
    manifest = {
        "schema_version": 1,
        "name": "small",
        "version": "1",
        "description": "Printed Latin text, upright or turned a little. Trained on words drawn in Debian's fonts.",
        "licence": "Apache-2.0",
        "languages": ["eng"],
        "detector": {
            "weights": _file(output / "detector.h5"),
            "backbone": BACKBONE,
            "channel_divisor": CHANNEL_DIVISOR,
        },
        "recognizer": {"weights": _file(output / "recognizer.h5"), "alphabet": ALPHABET, "build": BUILD},
        "accuracy": measured(output),
    }
    (output / "manifest.json").write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", "utf-8")


def _file(path: Path) -> dict[str, str]:
    return {"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def measured(model: Path) -> list[dict[str, Any]]:
    """Shares of words found and read by `keras_ocr.pipeline.Pipeline` itself, on pages of three kinds."""
    pipeline = _pipeline(model)
    _, held_out, unseen = vocabulary()
    return [
        _measured(pipeline, "clean", Random(12), held_out, clean=True),
        _measured(pipeline, "clean, in a font family never trained on", Random(13), unseen, clean=True),
        _measured(pipeline, "blurred, noisy, turned by up to 12 degrees", Random(14), held_out, clean=False),
    ]


def _pipeline(model: Path) -> Any:
    detector = keras_ocr.detection.Detector.__new__(keras_ocr.detection.Detector)
    detector.model = build_detector(BACKBONE, CHANNEL_DIVISOR)
    detector.model.load_weights(model / "detector.h5")
    recognizer = keras_ocr.recognition.Recognizer(alphabet=ALPHABET, weights=None, build_params=BUILD)
    recognizer.model.load_weights(model / "recognizer.h5")
    return keras_ocr.pipeline.Pipeline(detector=detector, recognizer=recognizer)


def _measured(pipeline: Any, sample: str, random: Random, language: Language, *, clean: bool) -> dict[str, Any]:
    words = hits = right = 0
    for _ in range(_PAGES):
        page = printed_page(random, language, _PAGE_PX, _TEXT_PX, clean=clean)
        read = pipeline.recognize([page.picture], {"verbose": 0}, {"verbose": 0})[0]
        pairs = found([word.quad for word in page.words], [np.asarray(box, np.float32) for _, box in read], 0.5)
        words, hits = words + len(page.words), hits + len(pairs)
        right += sum(page.words[i].text.casefold() == read[j][0].casefold() for i, j in pairs.items())
    return {"sample": sample, "words": words, "found": round(hits / words, 3), "read": round(right / hits, 3)}

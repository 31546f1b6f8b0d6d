"""Trains the detector: CRAFT with an eighth of its channels, on pages whose characters' places are known."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any, Final

import keras_ocr.detection
import keras_ocr.tools
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow import keras

from ocrqueue_worker.engines.keras.architectures import build_detector
from training.small.measuring import found
from training.small.pages import GROWTH, PrintedPage, maps, printed_page
from training.small.text import vocabulary

BACKBONE: Final = "vgg"
CHANNEL_DIVISOR: Final = 8

_SIDE_PX: Final = 384
_BATCH: Final = 4
_EVALUATE_EVERY: Final = 300


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of the training, with pages of its own."""

    name: str
    steps: int
    learning_rate: float
    text_px: tuple[int, int]
    """At twice the size of what is on paper, as `keras_ocr.pipeline.Pipeline` enlarges."""
    spaces: tuple[float, float]
    growth: float
    seed: int


STAGES: Final = (
    Stage("learning", 3500, 2e-3, (13, 120), spaces=(0.95, 1.7), growth=GROWTH, seed=1),
    # what was learned is a little blurred: boxes come out larger than they were drawn, and close words become one
    Stage("tightening", 900, 4e-4, (13, 150), spaces=(0.75, 1.4), growth=0.8, seed=5),
)


def train(output: Path, share: float = 1.0) -> None:
    """Writes detector.h5 and detector-curve.json; `share` of the steps of the model that ships."""
    tf.keras.utils.set_random_seed(1)
    tf.config.experimental.enable_op_determinism()
    model = build_detector(BACKBONE, CHANNEL_DIVISOR)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            # keras-ocr's 0.1 is PyTorch's way to write 0.9
            layer.momentum = 0.95
    _, held_out, unseen = vocabulary()
    validation = {
        "clean": _validation_pages(Random(2), clean=True, language=held_out),
        "unseen font": _validation_pages(Random(3), clean=True, language=unseen),
        "degraded": _validation_pages(Random(4), clean=False, language=held_out),
    }
    curve: list[dict[str, Any]] = []
    ends = []
    for stage in STAGES:
        shortened = replace(stage, steps=max(1, round(share * stage.steps)))
        _train_stage(model, shortened, validation, curve, output)
        ends.append(model.get_weights())
    # after the first stage boxes are too loose to count, after the second so tight that they cut into letters: the
    # mean of both weights has neither fault (https://arxiv.org/abs/2203.05482)
    model.set_weights([np.mean(weights, axis=0) for weights in zip(*ends, strict=True)])
    model.save_weights(output / "detector.h5")


def _train_stage(
    model: Any, stage: Stage, validation: dict[str, list[PrintedPage]], curve: list[dict[str, Any]], output: Path
) -> None:
    schedule = keras.optimizers.schedules.CosineDecay(stage.learning_rate, stage.steps, alpha=0.01)
    model.compile(loss=_loss, optimizer=keras.optimizers.Adam(schedule))
    seen, _, _ = vocabulary()
    random, losses, start = Random(stage.seed), [], time.monotonic()
    for step in range(1, stage.steps + 1):
        pages = [
            printed_page(random, seen, (_SIDE_PX, _SIDE_PX), stage.text_px, clean=False, spaces=stage.spaces)
            for _ in range(_BATCH)
        ]
        inputs = keras_ocr.detection.compute_input(np.stack([page.picture for page in pages])).astype(np.float32)
        wanted = np.stack([maps(page, stage.growth) for page in pages])
        losses.append(float(model.train_on_batch(inputs, wanted)))
        if step % _EVALUATE_EVERY == 0 or step == stage.steps:
            curve.append(
                {
                    "stage": stage.name,
                    "step": step,
                    "minutes": round((time.monotonic() - start) / 60, 1),
                    "loss": round(float(np.mean(losses[-200:])), 5),
                    **{name: words_found(model, pages) for name, pages in validation.items()},
                }
            )
            print("detector", json.dumps(curve[-1]), flush=True)
            model.save_weights(output / "detector.h5")
            (output / "detector-curve.json").write_text(json.dumps(curve, indent=1) + "\n")


def _loss(wanted: Any, predicted: Any) -> Any:
    """Squared error; where text is, it counts five times, for most of a page is paper."""
    return tf.reduce_mean((1.0 + 4.0 * wanted) * tf.square(predicted - wanted))


def _validation_pages(random: Random, *, clean: bool, language: Any) -> list[PrintedPage]:
    return [printed_page(random, language, (640, 480), (10, 40), clean=clean) for _ in range(4)]


def words_found(model: Any, pages: list[PrintedPage]) -> dict[str, float]:
    """Recall at intersection over union 0.5 and 0.7, and precision at 0.5, at keras-ocr's scale of 2."""
    hits = {0.5: 0, 0.7: 0}
    words = boxes = 0
    for page in pages:
        picture, scale = keras_ocr.tools.resize_image(page.picture, 2, 2048)
        predicted = model.predict(keras_ocr.detection.compute_input(picture)[np.newaxis], verbose=0)
        quads = [np.asarray(box / scale, np.float32) for box in keras_ocr.detection.getBoxes(predicted)[0]]
        truth: list[NDArray[np.float32]] = [word.quad for word in page.words]
        for threshold in hits:
            hits[threshold] += len(found(truth, quads, threshold))
        words, boxes = words + len(truth), boxes + len(quads)
    return {
        "recall": round(hits[0.5] / words, 3),
        "recall_at_0.7": round(hits[0.7] / words, 3),
        "precision": round(hits[0.5] / max(1, boxes), 3),
    }

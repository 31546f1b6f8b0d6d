"""Trains the recogniser: keras-ocr's own CRNN with an eighth of its filters and no spatial transformer, by CTC."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

import keras_ocr.recognition
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow import keras

from training.small.crops import HEIGHT, WIDTH, crop
from training.small.text import ALPHABET, MAX_CHARACTERS, any_token, printed_token, vocabulary

BUILD: Final[dict[str, Any]] = {
    "height": HEIGHT,
    "width": WIDTH,
    "color": False,
    "filters": [16, 16, 32, 64, 64, 96, 96],
    "rnn_units": [96, 96],
    "dropout": 0.1,
    "rnn_steps_to_discard": 2,
    "pool_size": 2,
    "stn": False,
}

_BATCH: Final = 32
_STEPS: Final = 8500
_SHORT_FIRST_STEPS: Final = 1200
"""CTC finds the alignment of short texts first; with long ones from the start it stays with blanks for long."""
_LEARNING_RATE: Final = 1.5e-3
_EVALUATE_EVERY: Final = 500


@dataclass(frozen=True, slots=True)
class Crops:
    pictures: NDArray[np.float32]
    """n x 31 x 200 x 1 in [0, 1]."""
    texts: list[str]


def train(output: Path, share: float = 1.0) -> None:
    """Writes recognizer.h5 and recognizer-curve.json; `share` of the steps of the model that ships."""
    steps = max(1, round(share * _STEPS))
    tf.keras.utils.set_random_seed(1)
    tf.config.experimental.enable_op_determinism()
    model = keras_ocr.recognition.Recognizer(alphabet=ALPHABET, weights=None, build_params=BUILD)
    schedule = keras.optimizers.schedules.CosineDecay(_LEARNING_RATE, steps, alpha=0.01)
    model.compile(optimizer=keras.optimizers.Adam(schedule, clipnorm=5.0))
    reached = int(model.training_model.input_shape[1][1])
    random, curve, losses, start = Random(1), [], [], time.monotonic()
    seen, held_out, unseen = vocabulary()
    validation = {
        "clean": _crops(Random(2), 300, clean=True, language=held_out),
        "unseen font": _crops(Random(3), 300, clean=True, language=unseen),
        "degraded": _crops(Random(4), 300, clean=False, language=held_out),
    }
    nothing = np.zeros((_BATCH, 1), np.float32)
    for step in range(1, steps + 1):
        longest = 6 if step <= _SHORT_FIRST_STEPS else MAX_CHARACTERS
        batch = _stacked([crop(random, seen, any_token, longest=longest, clean=False) for _ in range(_BATCH)])
        losses.append(float(model.training_model.train_on_batch(_targets(batch, reached), nothing)))
        if step % _EVALUATE_EVERY == 0 or step == steps:
            curve.append(
                {
                    "step": step,
                    "minutes": round((time.monotonic() - start) / 60, 1),
                    "loss": round(float(np.mean(losses[-200:])), 4),
                    **{name: words_read(model.model, crops) for name, crops in validation.items()},
                }
            )
            print("recognizer", json.dumps(curve[-1]), flush=True)
            model.model.save_weights(output / "recognizer.h5")
            (output / "recognizer-curve.json").write_text(json.dumps(curve, indent=1) + "\n")


def _crops(random: Random, number: int, *, clean: bool, language: Any) -> Crops:
    return _stacked([crop(random, language, printed_token, longest=MAX_CHARACTERS, clean=clean) for _ in range(number)])


def _stacked(made: list[tuple[NDArray[np.uint8], str]]) -> Crops:
    pictures = np.stack([picture for picture, _ in made])[..., np.newaxis].astype(np.float32) / 255
    return Crops(pictures, [text for _, text in made])


def _targets(crops: Crops, reached: int) -> tuple[NDArray[Any], ...]:
    """What `Recognizer.training_model` takes: pictures, labels padded by -1, steps, lengths."""
    labels = np.full((len(crops.texts), reached), -1, np.float32)
    for row, text in zip(labels, crops.texts, strict=True):
        row[: len(text)] = [ALPHABET.index(character) for character in text]
    lengths = np.array([[len(text)] for text in crops.texts], np.float32)
    return crops.pictures, labels, np.full_like(lengths, reached), lengths


def words_read(model: Any, crops: Crops) -> float:
    """Share of words read right, case folded, by the best character of each step."""
    steps = np.asarray(model.predict(crops.pictures, verbose=0, batch_size=100)).argmax(axis=-1)
    right = sum(_decoded(row).casefold() == text.casefold() for row, text in zip(steps, crops.texts, strict=True))
    return round(right / len(crops.texts), 4)


def _decoded(steps: NDArray[np.int64]) -> str:
    kept = [s for i, s in enumerate(steps) if s != len(ALPHABET) and (i == 0 or s != steps[i - 1])]
    return "".join(ALPHABET[s] for s in kept)

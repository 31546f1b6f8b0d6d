"""A recogniser of whole lines, of any width: EasyOCR's second generation of networks, in Keras.

Convolutions as in VGG, the mean over the height, two bidirectional LSTMs with a dense layer behind each, and CTC
(EasyOCR's easyocr/model/vgg_model.py and modules.py, Apache-2.0). Its layers are called as the tensors of EasyOCR's
weights are.
"""

from __future__ import annotations

from typing import Any, Final

from tensorflow import keras

NORMALIZATION_EPSILON: Final = 1e-5
"""PyTorch's default."""

_CONVOLUTION: Final = "FeatureExtraction.ConvNet"
_SEQUENCE: Final = "SequenceModeling"


def build_line_recognizer(height: int, channels: int, units: int, characters: int) -> Any:
    """A keras model from n x height x width x 1, grey in [0, 1], to n x (width / 4 - 1) x (characters + 1): softmax,
    the blank last. With random weights.

    `channels` are those of the last convolution, of which the first has an eighth; `units` those of an LSTM in one
    direction.
    """
    layers = keras.layers
    eighth, quarter, half = channels // 8, channels // 4, channels // 2
    inputs = layers.Input((height, None, 1))
    x = layers.Rescaling(2.0, -1.0)(inputs)
    x = _convolved(x, 0, eighth)
    x = layers.MaxPooling2D(2)(x)
    x = _convolved(x, 3, quarter)
    x = layers.MaxPooling2D(2)(x)
    x = _convolved(x, 6, half)
    x = _convolved(x, 8, half)
    x = layers.MaxPooling2D((2, 1))(x)
    x = _convolved(x, 11, channels, normalized=True)
    x = _convolved(x, 14, channels, normalized=True)
    x = layers.MaxPooling2D((2, 1))(x)
    x = _convolved(x, 18, channels, kernel=2)
    x = layers.AveragePooling2D((height // 16 - 1, 1))(x)
    x = layers.Reshape((-1, channels))(x)
    for number in range(2):
        recurrent = layers.LSTM(units, return_sequences=True)
        x = layers.Bidirectional(recurrent, name=f"{_SEQUENCE}.{number}.rnn")(x)
        x = layers.Dense(units, name=f"{_SEQUENCE}.{number}.linear")(x)
    outputs = layers.Dense(characters + 1, activation="softmax", name=BLANK_FIRST_IN_TORCH)(x)
    return keras.Model(inputs, outputs)


BLANK_FIRST_IN_TORCH: Final = "Prediction"
"""The layer whose first output is the blank in EasyOCR's weights; here the blank is last, as keras-ocr has it."""


def _convolved(x: Any, number: int, channels: int, kernel: int = 3, normalized: bool = False) -> Any:
    """`number`: the place in EasyOCR's list of layers."""
    layers = keras.layers
    padding = "same" if kernel == 3 else "valid"
    name = f"{_CONVOLUTION}.{number}"
    x = layers.Conv2D(channels, kernel, padding=padding, use_bias=not normalized, name=name)(x)
    if normalized:
        x = layers.BatchNormalization(epsilon=NORMALIZATION_EPSILON, name=f"{_CONVOLUTION}.{number + 1}")(x)
    return layers.ReLU()(x)

"""PyTorch's tensors into a Keras network whose layers are called as the tensors are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from tensorflow import keras

from ocrqueue_worker.engines.keras.line_recognizer import BLANK_FIRST_IN_TORCH
from ocrqueue_worker.engines.keras.torch_weights import Tensor


def set_torch_weights(network: Any, tensors: Mapping[str, Tensor]) -> None:
    """Give each layer the tensors of its name. Raises ValueError where one is missing, left over, or does not fit."""
    left = dict(tensors)

    def take(layer: Any, part: str) -> Any:
        name = f"{layer.name}.{part}"
        try:
            return left.pop(name)
        except KeyError:
            raise ValueError(f"there is no tensor {name}") from None

    for layer in network.layers:
        if layer.weights:
            layer.set_weights(_weights_of(layer, lambda part, layer=layer: take(layer, part)))
    if left:
        raise ValueError(f"the network has no layer for {min(left)}")


def _weights_of(layer: Any, take: Any) -> list[Any]:
    """In Keras's order and layout."""
    if isinstance(layer, keras.layers.BatchNormalization):
        return [take(part) for part in ("weight", "bias", "running_mean", "running_var")]
    if isinstance(layer, keras.layers.Conv2D):
        kernel = take("weight").transpose(2, 3, 1, 0)
        return [kernel, take("bias")] if layer.use_bias else [kernel]
    if isinstance(layer, keras.layers.Bidirectional):
        return [*_lstm(take, ""), *_lstm(take, "_reverse")]
    kernel, bias = take("weight").T, take("bias")
    if layer.name == BLANK_FIRST_IN_TORCH:
        kernel, bias = np.roll(kernel, -1, axis=1), np.roll(bias, -1)
    return [kernel, bias]


def _lstm(take: Any, direction: str) -> list[Any]:
    """The gates stand in the same order; of PyTorch's two biases Keras has the sum."""
    kernel, recurrent = take(f"weight_ih_l0{direction}").T, take(f"weight_hh_l0{direction}").T
    return [kernel, recurrent, take(f"bias_ih_l0{direction}") + take(f"bias_hh_l0{direction}")]

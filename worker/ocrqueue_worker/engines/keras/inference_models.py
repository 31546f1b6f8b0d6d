"""Keras models made over so that they compute the same in less time: for inference only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from tensorflow import keras


def fold_batch_normalization(model: Any) -> Any:
    """A model in which each convolution does the work of the batch normalisation behind it.

    Normalisation with fixed statistics is linear, and so is a convolution: the two are one with scaled weights
    (https://arxiv.org/abs/1712.05877, section 3.2). Left as they are: layers behind an activation, with several
    followers, or without bias.
    """
    folded = {
        layer.name: convolution
        for layer in model.layers
        if isinstance(layer, keras.layers.BatchNormalization) and (convolution := _foldable(layer)) is not None
    }

    def made_over(layer: Any) -> Any:
        return keras.layers.Activation("linear", name=layer.name) if layer.name in folded else _copy(layer)

    result = _cloned(model, made_over, leave_out=set(folded))
    for name, convolution in folded.items():
        layer = model.get_layer(name)
        gamma, beta, mean, variance = (weight.astype(np.float64) for weight in layer.get_weights())
        kernel, bias = (weight.astype(np.float64) for weight in convolution.get_weights())
        factor = gamma / np.sqrt(variance + layer.epsilon)
        result.get_layer(convolution.name).set_weights([kernel * factor, (bias - mean) * factor + beta])
    return result


def in_bfloat16(model: Any) -> Any:
    """A model that computes the same in bfloat16, with its weights in float32; what it returns is bfloat16.

    Sums are in float32 where the CPU has matrix units for bfloat16.
    """

    def made_over(layer: Any) -> Any:
        if isinstance(layer, keras.layers.InputLayer):
            return _copy(layer)
        return type(layer).from_config({**layer.get_config(), "dtype": "mixed_bfloat16"})

    return _cloned(model, made_over, leave_out=set())


def _foldable(layer: Any) -> Any | None:
    """The convolution before a batch normalisation, where it can take it over."""
    before = layer.inbound_nodes[0].inbound_layers
    linear = keras.activations.linear
    if type(before) is keras.layers.Conv2D and before.activation is linear and before.use_bias:
        full = layer.center and layer.scale
        return before if full and len(before.outbound_nodes) == 1 else None
    return None


def _cloned(model: Any, made_over: Callable[[Any], Any], leave_out: set[str]) -> Any:
    result = keras.models.clone_model(model, clone_function=made_over)
    for layer in model.layers:
        if layer.weights and layer.name not in leave_out:
            result.get_layer(layer.name).set_weights(layer.get_weights())
    return result


def _copy(layer: Any) -> Any:
    return type(layer).from_config(layer.get_config())

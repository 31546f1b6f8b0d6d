"""EasyOCR's second recogniser of English as a graph: see `ocrqueue_worker.engines.keras.line_recognizer`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from training.english.graphs import Graph, convolution_weights

_CONVOLUTIONS: Final = (
    (0, 1, 32, 3, False, (2, 2)), (3, 32, 64, 3, False, (2, 2)), (6, 64, 128, 3, False, None),
    (8, 128, 128, 3, False, (2, 1)), (11, 128, 256, 3, True, None), (14, 256, 256, 3, True, (2, 1)),
    (18, 256, 256, 2, False, None),
)  # fmt: skip
"""Number, channels, results, size of the kernel, whether it is normalised, and by what it is made smaller."""
_HEIGHT: Final = 64
_UNITS: Final = 256
_OUTPUTS: Final = 97


def write_recognizer(path: Path) -> None:
    """From n x 64 x W x 1 bytes to n x (W / 4 - 1) x 97, the blank last."""
    graph = Graph()
    x = graph.add("Cast", "pictures", to=1)
    x = graph.add("Sub", graph.add("Mul", x, graph.constant(2 / 255)), graph.constant(1.0))
    # of one channel
    x = graph.add("Transpose", x, perm=[0, 3, 1, 2])
    for number, channels, results, size, normalized, smaller in _CONVOLUTIONS:
        name = "FeatureExtraction.ConvNet"
        normalization = f"{name}.{number + 1}" if normalized else None
        kernel, bias = convolution_weights(
            graph, f"{name}.{number}", normalization, results, channels, size, size, bias=not normalized
        )
        x = graph.add("Relu", graph.add("Conv", x, kernel, bias, pads=[1 if size == 3 else 0] * 4))
        if smaller is not None:
            x = graph.add("MaxPool", x, kernel_shape=smaller, strides=smaller)
    x = graph.add("ReduceMean", x, axes=[2], keepdims=0)
    x = graph.add("Transpose", x, perm=[2, 0, 1])
    for number in range(2):
        x = _recurrent(graph, x, f"SequenceModeling.{number}")
    kernel, bias = graph.weight("Prediction.weight", _OUTPUTS, _UNITS), graph.weight("Prediction.bias", _OUTPUTS)
    x = graph.add("Add", graph.add("MatMul", x, _turned(graph, _blank_last(graph, kernel))), _blank_last(graph, bias))
    x = graph.add("Softmax", graph.add("Transpose", x, perm=[1, 0, 2]), axis=2)
    graph.save(path, x, ["n", _HEIGHT, "width", 1], ["n", "steps", _OUTPUTS])


def _recurrent(graph: Graph, x: str, name: str) -> str:
    """Both directions and the linear layer behind them: steps x n x 256."""
    parts = [
        graph.add("Concat", *(_of_direction(graph, name, part, end) for end in ("", "_reverse")), axis=0)
        for part in ("weight_ih", "weight_hh", "bias")
    ]
    x = graph.add_several("LSTM", 3, x, parts[0], parts[1], parts[2], direction="bidirectional", hidden_size=_UNITS)[0]
    x = graph.add("Transpose", x, perm=[0, 2, 1, 3])
    x = graph.add("Reshape", x, graph.constant([0, 0, 2 * _UNITS]))
    kernel = graph.weight(f"{name}.linear.weight", _UNITS, 2 * _UNITS)
    return graph.add("Add", graph.add("MatMul", x, _turned(graph, kernel)), graph.weight(f"{name}.linear.bias", _UNITS))


def _of_direction(graph: Graph, name: str, part: str, end: str) -> str:
    """1 x ..., the gates in ONNX's order: input, output, forget, cell."""
    if part == "bias":
        biases = [_gates(graph, f"{name}.rnn.bias_{one}_l0{end}") for one in ("ih", "hh")]
        weights = graph.add("Concat", *biases, axis=0)
    else:
        weights = _gates(graph, f"{name}.rnn.{part}_l0{end}", _UNITS)
    return graph.add("Unsqueeze", weights, graph.constant([0]))


def _gates(graph: Graph, name: str, *inputs: int) -> str:
    """PyTorch has them as input, forget, cell, output."""
    gates = graph.add_several("Split", 4, graph.weight(name, 4 * _UNITS, *inputs), axis=0)
    return graph.add("Concat", gates[0], gates[3], gates[1], gates[2], axis=0)


def _blank_last(graph: Graph, weights: str) -> str:
    sizes = graph.constant([1, _OUTPUTS - 1])
    blank, characters = graph.add_several("Split", 2, weights, sizes, axis=0)
    return graph.add("Concat", characters, blank, axis=0)


def _turned(graph: Graph, matrix: str) -> str:
    return graph.add("Transpose", matrix, perm=[1, 0])

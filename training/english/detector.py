"""CRAFT as a graph: it computes what `keras_ocr.detection` does, with less arithmetic."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ocrqueue_worker.engines.keras.networks import DEVIATION, MEAN
from training.english.graphs import Graph, convolution_weights
from training.english.winograd import Convolution

_FIRST: Final = ((0, 3, 64, False), (3, 64, 64, True), (7, 64, 128, False))
"""The number of a convolution in VGG-16, its channels and results, and whether the picture is halved behind it."""
_OTHERS: Final = (
    ("1.10", 128, 128, True), ("2.14", 128, 256, False), ("2.17", 256, 256, False), ("3.20", 256, 256, True),
    ("3.24", 256, 512, False), ("3.27", 512, 512, False), ("4.30", 512, 512, True), ("4.34", 512, 512, False),
    ("4.37", 512, 512, False),
)  # fmt: skip
"""The same with names. With fewer channels Winograd's transformations take as long as they save."""
_LAST: Final = "4.37"
_STAGES: Final = {"1.10": 4, "2.17": 3, "3.27": 2}
"""Convolutions whose results go into a part of the head too, and its number."""
_MERGED: Final = {1: (1024, 512, 512), 2: (256, 512, 256), 3: (128, 256, 128), 4: (64, 128, 64)}
"""Of a part of the head: channels of what comes from below, of what comes from the side, and results."""
_CLASSES: Final = ((32, 32, 3), (32, 32, 3), (32, 16, 3), (16, 16, 1), (16, 2, 1))
"""Channels, results and size of the kernel."""


def write_detector(path: Path) -> None:
    """From n x H x W x 3 bytes to n x H/2 x W/2 x 2."""
    graph = Graph()
    x = graph.add("Cast", "pictures", to=1)
    x = graph.add("Sub", x, graph.constant([255 * value for value in MEAN]))
    x = graph.add("Mul", x, graph.constant([1 / (255 * value) for value in DEVIATION]))
    x = _first_layers(graph, x)
    beside: dict[int, str] = {}
    for name, channels, results, halved in _OTHERS:
        number = int(name.partition(".")[2])
        kernel, bias = convolution_weights(
            graph, f"basenet.slice{name}", f"basenet.slice{name[0]}.{number + 1}", results, channels, 3, 3, bias=True
        )
        part = _STAGES.get(name)
        matrix = None if part is None else (_kernel_beside(graph, part), _MERGED[part][2])
        layer = Convolution(kernel, bias, channels, results, name != _LAST, halved, matrix)
        x, *more = layer.add_to(graph, x)
        if part is not None:
            beside[part] = _channels_first(graph, more[0])
    x = _head(graph, _channels_first(graph, x), beside)
    graph.save(path, _channels_last(graph, x), ["n", "height", "width", 3], ["n", "half_height", "half_width", 2])


def _first_layers(graph: Graph, x: str) -> str:
    x = _channels_first(graph, x)
    for number, channels, results, halved in _FIRST:
        name = "basenet.slice1"
        kernel, bias = convolution_weights(
            graph, f"{name}.{number}", f"{name}.{number + 1}", results, channels, 3, 3, bias=True
        )
        x = graph.add("Relu", graph.add("Conv", x, kernel, bias, pads=[1, 1, 1, 1]))
        if halved:
            x = graph.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    return _channels_last(graph, x)


def _head(graph: Graph, fourth: str, beside: dict[int, str]) -> str:
    x = graph.add("MaxPool", fourth, kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1])
    kernel, bias = convolution_weights(graph, "basenet.slice5.1", None, 1024, 512, 3, 3, bias=True)
    x = graph.add("Conv", x, kernel, bias, pads=[6, 6, 6, 6], dilations=[6, 6])
    kernel, bias = convolution_weights(graph, "basenet.slice5.2", None, 1024, 1024, 1, 1, bias=True)
    x = graph.add("Conv", x, kernel, bias)
    below, _, results = _MERGED[1]
    beside[1] = graph.add("Conv", fourth, _part(graph, _merging_weights(graph, 1)[0], below, None))
    for number, (below, _, results) in _MERGED.items():
        kernel, bias = _merging_weights(graph, number)
        x = graph.add("Conv", x, _part(graph, kernel, 0, below), bias)
        if number > 1:
            n, depth, _, _ = graph.lengths(x)
            size = graph.shape(n, depth, *graph.lengths(beside[number])[2:])
            x = graph.add("Resize", x, "", "", size, mode="linear", coordinate_transformation_mode="half_pixel")
        x = graph.add("Relu", graph.add("Add", x, beside[number]))
        name = f"upconv{number}.conv"
        kernel, bias = convolution_weights(graph, f"{name}.3", f"{name}.4", results // 2, results, 3, 3, bias=True)
        x = graph.add("Relu", graph.add("Conv", x, kernel, bias, pads=[1, 1, 1, 1]))
    for number, (channels, results, px) in enumerate(_CLASSES):
        kernel, bias = convolution_weights(graph, f"conv_cls.{2 * number}", None, results, channels, px, px, bias=True)
        x = graph.add("Conv", x, kernel, bias, pads=[px // 2] * 4)
        x = x if number == len(_CLASSES) - 1 else graph.add("Relu", x)
    return x


def _merging_weights(graph: Graph, number: int) -> tuple[str, str]:
    """Of the convolution of one pixel over what comes from below, enlarged, and what comes from the side.

    It is computed for each of them alone, before the first is enlarged: enlarging keeps sums, and has less to do so.
    """
    below, side, results = _MERGED[number]
    name = f"upconv{number}.conv"
    return convolution_weights(graph, f"{name}.0", f"{name}.1", results, below + side, 1, 1, bias=True)


def _part(graph: Graph, kernel: str, start: int, end: int | None) -> str:
    """Of the channels."""
    bounds = (graph.constant([start]), graph.constant([2**31 if end is None else end]))
    return graph.add("Slice", kernel, *bounds, graph.constant([1]))


def _kernel_beside(graph: Graph, number: int) -> str:
    """side x results"""
    below, side, results = _MERGED[number]
    kernel = _part(graph, _merging_weights(graph, number)[0], below, None)
    return graph.add("Transpose", graph.add("Reshape", kernel, graph.constant([results, side])), perm=[1, 0])


def _channels_first(graph: Graph, x: str) -> str:
    return graph.add("Transpose", x, perm=[0, 3, 1, 2])


def _channels_last(graph: Graph, x: str) -> str:
    return graph.add("Transpose", x, perm=[0, 2, 3, 1])

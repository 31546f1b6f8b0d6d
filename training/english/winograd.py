"""Convolutions of 3 x 3 with a fourth of the multiplications: https://arxiv.org/abs/1509.09308, F(4x4, 3x3).

6 x 6 values give a tile of 4 x 4 results. The transformations are products of matrices. Between them are 36 products,
each of tiles x channels with channels x results. A loop takes few rows of tiles at a time, so that what lies between
the products stays in the processor's cache.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from training.english.graphs import Graph

_INPUT: Final = np.array([
    [4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0],
    [0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0], [0, 4, 0, -5, 0, 1],
], float)  # fmt: skip
_KERNEL: Final = np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]) / 24
_OUTPUT: Final = np.array([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]], float)
_TILE: Final = 4
_VALUES: Final = _TILE + 2
_CHANNELS_PER_ROW: Final = 64
"""Of tiles, in a turn of the loop. Pictures of many channels have few tiles in a row, and large kernels."""


@dataclass(frozen=True, slots=True)
class Convolution:
    """Of pictures n x H x W x channels, with a margin of zeros: to n x H x W x results."""

    kernel: str
    """results x channels x 3 x 3"""
    bias: str
    channels: int
    results: int
    relu: bool
    halved: bool
    """The maximum of each 2 x 2 results: n x H/2 x W/2 x results, rounded down."""
    beside: tuple[str, int] | None = None
    """A matrix, results x k, by which the results are multiplied for a second output, n x H x W x k."""

    @property
    def rows(self) -> int:
        """Of tiles in a turn."""
        return max(1, self.channels // _CHANNELS_PER_ROW)

    @property
    def lines(self) -> int:
        """Of pixels in a turn."""
        return _TILE * self.rows

    def add_to(self, graph: Graph, pictures: str) -> list[str]:
        """The output, and the second one where there is `beside`."""
        number, height, width, _ = graph.lengths(pictures)
        turns, tiles = _parts(graph, height, self.lines), _parts(graph, width, _TILE)
        whole_height = graph.add("Mul", turns, graph.constant([self.lines]))
        whole_width = graph.add("Mul", tiles, graph.constant([_TILE]))
        one, two = graph.constant([1]), graph.constant([2])
        below, right = (
            graph.add("Add", graph.add("Sub", whole, length), one)
            for whole, length in ((whole_height, height), (whole_width, width))
        )
        padded = graph.add("Pad", pictures, graph.shape(0, one, one, 0, 0, below, right, 0))
        padded_height = graph.add("Add", whole_height, two)
        lines = graph.add("Reshape", padded, graph.shape(-1, graph.add("Add", whole_width, two), self.channels))
        kernel = graph.add("Transpose", self.kernel, perm=[2, 3, 1, 0])
        kernel = graph.add("Reshape", kernel, graph.constant([9, -1]))
        kernel = graph.add("MatMul", graph.constant(np.kron(_KERNEL, _KERNEL)), kernel)
        kernel = graph.add("Reshape", kernel, graph.constant([_VALUES**2, self.channels, self.results]))
        starts = _starts(graph, number, padded_height, turns, self.lines)
        body = self._body(graph, lines, kernel, tiles, whole_width)
        results = graph.add_several("Scan", 1 if self.beside is None else 2, starts, num_scan_inputs=1, body=body)
        sizes = [(self.results, self.halved)] + ([] if self.beside is None else [(self.beside[1], False)])
        outputs = []
        for result, (channels, halved) in zip(results, sizes, strict=True):
            axes = [whole_height, whole_width, height, width]
            if halved:
                axes = [graph.add("Div", axis, two) for axis in axes]
            whole = graph.add("Reshape", result, graph.shape(number, axes[0], axes[1], channels))
            end = graph.shape(axes[2], axes[3])
            outputs.append(graph.add("Slice", whole, graph.constant([0, 0]), end, graph.constant([1, 2])))
        return outputs

    def _body(self, outer: Graph, lines: str, kernel: str, tiles: str, width: str) -> object:
        """From the first line of a turn to its part of the outputs."""
        graph = Graph(outer)
        start = graph.new_name()
        end = graph.add("Add", start, graph.constant([self.lines + 2]))
        band = graph.add("Slice", lines, start, end, graph.constant([0]))
        places = []
        for y in range(_VALUES):
            line = graph.add("Slice", band, *(graph.constant([n]) for n in (y, y + self.lines - 3, 0, _TILE)))
            for x in range(_VALUES):
                end = graph.add("Add", width, graph.constant([x - 3]))
                places.append(
                    graph.add("Slice", line, graph.constant([x]), end, graph.constant([1]), graph.constant([_TILE]))
                )
        flat = graph.constant([_VALUES**2, -1])
        values = graph.add("Reshape", graph.add("Concat", *places, axis=0), flat)
        values = graph.add("MatMul", graph.constant(np.kron(_INPUT, _INPUT)), values)
        values = graph.add("Reshape", values, graph.constant([_VALUES**2, -1, self.channels]))
        values = graph.add("Reshape", graph.add("MatMul", values, kernel), flat)
        values = graph.add("MatMul", graph.constant(np.kron(_OUTPUT, _OUTPUT)), values)
        values = graph.add("Reshape", values, graph.shape(_TILE, _TILE, self.rows, tiles, self.results))
        values = graph.add("Transpose", values, perm=[2, 0, 3, 1, 4])
        values = graph.add("Reshape", values, graph.shape(self.lines, width, self.results))
        values = graph.add("Add", values, self.bias)
        values = first = graph.add("Relu", values) if self.relu else values
        if self.halved:
            half = graph.add("Div", width, graph.constant([2]))
            first = graph.add("Reshape", values, graph.shape(self.lines // 2, 2, half, 2, self.results))
            first = graph.add("ReduceMax", first, axes=[1, 3], keepdims=0)
        second = [] if self.beside is None else [graph.add("MatMul", values, self.beside[0])]
        return graph.body(start, [first, *second])


def _parts(graph: Graph, length: str, step: int) -> str:
    """How many steps cover a length."""
    return graph.add("Div", graph.add("Add", length, graph.constant([step - 1])), graph.constant([step]))


def _starts(graph: Graph, number: str, height: str, turns: str, step: int) -> str:
    """The first line of each turn of each picture, n * turns x 1; pictures lie below each other."""
    zero, one, only = graph.constant(0), graph.constant(1), graph.constant([0])
    pictures = graph.add("Range", zero, graph.add("Squeeze", number, only), one)
    pictures = graph.add("Mul", graph.add("Unsqueeze", pictures, graph.constant([1])), height)
    of_one = graph.add("Range", zero, graph.add("Squeeze", turns, only), one)
    of_one = graph.add("Mul", of_one, graph.constant(step))
    return graph.add("Reshape", graph.add("Add", pictures, of_one), graph.constant([-1, 1]))

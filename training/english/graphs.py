"""A graph for ONNX Runtime, node by node, whose weights are those of a file of PyTorch's, by their names there.

The weights are not in it: ONNX Runtime is given them with the graph, and computes what depends on them alone when it
loads.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from onnx import TensorProto, helper, numpy_helper

OPSET: Final = 17
"""Version of ONNX's operators: any ONNX Runtime since 1.12 computes them."""
_IR_VERSION: Final = 8
_ELSEWHERE: Final = "weights"
"""ONNX wants the name of a file there. It is never opened."""


class Graph:
    """Tensors are named by strings, which `add`, `constant` and `weight` return."""

    def __init__(self, outer: Graph | None = None) -> None:
        """`outer`: the graph of which this one is the body of a loop. It has all constants and weights."""
        self._outer = outer
        self._nodes: list[Any] = []
        self._initializers: dict[str, Any] = {}
        self._names = 0

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """The only output of a new node."""
        return self.add_several(operator, 1, *inputs, **attributes)[0]

    def add_several(self, operator: str, outputs: int, *inputs: str, **attributes: Any) -> list[str]:
        names = [self.new_name() for _ in range(outputs)]
        self._nodes.append(helper.make_node(operator, list(inputs), names, **attributes))
        return names

    def new_name(self) -> str:
        if self._outer is not None:
            return self._outer.new_name()
        self._names += 1
        return f"t{self._names}"

    def constant(self, value: Any) -> str:
        """Integers, or float32. Equal ones are one tensor."""
        array = np.asarray(value)
        array = array.astype(np.int64 if np.issubdtype(array.dtype, np.integer) else np.float32)
        digest = hashlib.sha256(f"{array.dtype}{array.shape}".encode() + array.tobytes()).hexdigest()
        return self._keep(numpy_helper.from_array(array, f"constant_{digest[:12]}"))

    def weight(self, name: str, *shape: int) -> str:
        """A tensor of PyTorch's file."""
        tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=shape, data_location=TensorProto.EXTERNAL)
        tensor.external_data.add(key="location", value=_ELSEWHERE)
        return self._keep(tensor)

    def _keep(self, tensor: Any) -> str:
        if self._outer is not None:
            return self._outer._keep(tensor)
        self._initializers.setdefault(tensor.name, tensor)
        return str(tensor.name)

    def lengths(self, tensor: str) -> list[str]:
        """Of the four axes of a tensor, each as a tensor of one number."""
        return self.add_several("Split", 4, self.add("Shape", tensor), axis=0)

    def shape(self, *lengths: str | int) -> str:
        """Lengths, which may be tensors of one number, as one tensor."""
        return self.add("Concat", *(self.constant([one]) if isinstance(one, int) else one for one in lengths), axis=0)

    def body(self, argument: str, results: Sequence[str]) -> Any:
        """This graph as the body of a Scan: from one number to tensors of three axes."""
        return helper.make_graph(
            self._nodes,
            "body",
            [helper.make_tensor_value_info(argument, TensorProto.INT64, [1])],
            [helper.make_tensor_value_info(result, TensorProto.FLOAT, [None, None, None]) for result in results],
        )

    def save(self, path: Path, output: str, pictures: Sequence[Any], maps: Sequence[Any]) -> None:
        """`pictures` and `maps`: the shapes of the input, which is called so, and of the output."""
        self._nodes.append(helper.make_node("Identity", [output], ["maps"]))
        graph = helper.make_graph(
            self._nodes,
            path.stem,
            [helper.make_tensor_value_info("pictures", TensorProto.UINT8, pictures)],
            [helper.make_tensor_value_info("maps", TensorProto.FLOAT, maps)],
            list(self._initializers.values()),
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=_IR_VERSION)
        path.write_bytes(model.SerializeToString(deterministic=True))


def convolution_weights(graph: Graph, name: str, normalization: str | None, *shape: int, bias: bool) -> tuple[str, str]:
    """Kernel (of `shape`) and bias of a convolution that does the work of the batch normalisation behind it too."""
    kernel = graph.weight(f"{name}.weight", *shape)
    added = graph.weight(f"{name}.bias", shape[0]) if bias else graph.constant([0.0] * shape[0])
    if normalization is None:
        return kernel, added
    gamma, beta, mean, variance = (
        graph.weight(f"{normalization}.{part}", shape[0]) for part in ("weight", "bias", "running_mean", "running_var")
    )
    factor = graph.add("Div", gamma, graph.add("Sqrt", graph.add("Add", variance, graph.constant(1e-5))))
    kernel = graph.add("Mul", kernel, graph.add("Reshape", factor, graph.constant([-1, 1, 1, 1])))
    added = graph.add("Add", graph.add("Mul", graph.add("Sub", added, mean), factor), beta)
    return kernel, added

"""Read and replace the constant inputs of a node."""

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

Array = npt.NDArray[Any]


def value(source: ir.Value | None) -> Array | None:
    """Return the array of a constant; None if the value is computed or absent."""
    tensor = None if source is None else ir.convenience.get_const_tensor(source)
    return None if tensor is None else tensor.numpy()


def new(model_or_graph: ir.Model | ir.Graph, array: Array, name: str) -> ir.Value:
    """Add an initializer; a number is appended to its name if the name is taken."""
    graph = model_or_graph.graph if isinstance(model_or_graph, ir.Model) else model_or_graph
    unique, number = name, 0
    while unique in graph.initializers:
        number += 1
        unique = f"{name}_{number}"
    initializer = ir.val(unique, const_value=ir.tensor(np.ascontiguousarray(array)))
    graph.register_initializer(initializer)
    return initializer


def replace(node: ir.Node, index: int, array: Array) -> None:
    """Replace an input of a node by a new constant; other nodes that share the old one keep it."""
    graph = node.graph
    assert isinstance(graph, ir.Graph)
    if index >= len(node.inputs):
        node.resize_inputs(index + 1)
    node.replace_input_with(index, new(graph, array, f"{node.outputs[0].name}.{index}"))

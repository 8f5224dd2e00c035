"""Reading and replacing the constant inputs of a node."""

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

Array = npt.NDArray[Any]


def value(of: ir.Value | None) -> Array | None:
    """The array that a value always has; None where it is computed or absent."""
    tensor = None if of is None else ir.convenience.get_const_tensor(of)
    return None if tensor is None else tensor.numpy()


def new(model_or_graph: ir.Model | ir.Graph, array: Array, name: str) -> ir.Value:
    """An initializer of its own."""
    graph = model_or_graph.graph if isinstance(model_or_graph, ir.Model) else model_or_graph
    unique, number = name, 0
    while unique in graph.initializers:
        number += 1
        unique = f"{name}_{number}"
    made = ir.val(unique, const_value=ir.tensor(np.ascontiguousarray(array)))
    graph.register_initializer(made)
    return made


def replace(node: ir.Node, index: int, array: Array) -> None:
    """Gives a node a constant of its own as an input; others that shared the old one keep it."""
    graph = node.graph
    assert isinstance(graph, ir.Graph)
    if index >= len(node.inputs):
        node.resize_inputs(index + 1)
    node.replace_input_with(index, new(graph, array, f"{node.outputs[0].name}.{index}"))

"""Infer the kind and the range of the data from a decoder's graph."""

import onnx_ir as ir

from edgevae.compiler.graphs import constants
from edgevae.errors import InputError

Interval = tuple[float, float]

_BOUNDED = {"Sigmoid": (0.0, 1.0), "HardSigmoid": (0.0, 1.0), "Tanh": (-1.0, 1.0)}
_MOVES = ("Reshape", "Transpose", "Identity", "Flatten", "Squeeze", "Unsqueeze", "Slice")


def kind(x_shape: tuple[int, ...]) -> str:
    """Return "image" for (1 or 3, height, width), else "vector"."""
    return "image" if len(x_shape) == 3 and x_shape[0] in (1, 3) else "vector"


def x_range(decoder: ir.Model, where: str) -> Interval:
    """Return the least and largest value that a decoder's last operators can produce.

    Raises `InputError` if they bound nothing.
    """
    interval = bounds(decoder.graph.outputs[0])
    if interval is None:
        last = decoder.graph.outputs[0].producer()
        raise InputError(
            f"{where}: expected pixels to end in an operator that bounds them (Sigmoid, Tanh, "
            f"Clip), got {last.op_type if last else 'none'}; state their range: --range 0 1, or "
            f"x_range=(0, 1)"
        )
    return interval


def bounds(value: ir.Value | None) -> Interval | None:
    """Return the least and largest number that a value can be by its last operators, if any."""
    node = None if value is None else value.producer()
    if node is None:
        return None
    if node.op_type in _BOUNDED:
        return _BOUNDED[node.op_type]
    if node.op_type == "Clip":
        low, high = (_scalar(node, index) for index in (1, 2))
        return None if low is None or high is None else (low, high)
    if node.op_type in _MOVES:
        return bounds(node.inputs[0])
    if node.op_type in ("Add", "Sub", "Mul", "Div"):
        return _moved(node)
    return None


def _moved(node: ir.Node) -> Interval | None:
    """Return the bounds of a bounded value combined with a number, as in (tanh(y) + 1) / 2."""
    inner, number = bounds(node.inputs[0]), _scalar(node, 1)
    if node.op_type in ("Add", "Mul") and number is None:
        inner, number = bounds(node.inputs[1]), _scalar(node, 0)
    if inner is None or number is None or (node.op_type == "Div" and not number):
        return None
    low, high = sorted(
        {
            "Add": lambda end: end + number,
            "Sub": lambda end: end - number,
            "Mul": lambda end: end * number,
            "Div": lambda end: end / number,
        }[node.op_type](end)
        for end in inner
    )
    return low, high


def _scalar(node: ir.Node, index: int) -> float | None:
    array = constants.value(node.inputs[index]) if index < len(node.inputs) else None
    return float(array.reshape(-1)[0]) if array is not None and array.size == 1 else None

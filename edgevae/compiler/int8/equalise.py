"""Bring the channels of a value to similar sizes, so that one scale of bytes fits them all.

A channel between linear operators can be divided by any s > 0: the weights that compute it are
divided by s and those that read it multiplied by s, as max(0, y / s) s = max(0, y). Results stay
the same. Sources: Nagel et al. 2019, "Data-free quantization through weight equalization and bias
correction"; and, for the share that moves to the weights, Xiao et al. 2023, "SmoothQuant".
"""

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from edgevae.compiler.graphs import Array, constants, interleave

# The axes of outputs and of inputs in the weights.
_PRODUCTS = {"Conv": (0, 1), "ConvTranspose": (1, 0), "Gemm": (1, 0)}
_SAME = {"Relu", "LeakyRelu", "Add", interleave.OP}
_SHARE = 0.75  # of the channels' differences that moves to the weights, which differ less
_MAX_SCALE = 16.0

Group = set[ir.Value]


def rewrite(model: ir.Model, peaks: Mapping[str, Array]) -> int:
    """Equalise every group of values that can be; return how many.

    `peaks` has the largest size of each channel, (C,), by the value's name.
    """
    return sum(_equalise(group, peaks) for group in _groups(model))


def _groups(model: ir.Model) -> list[Group]:
    """Return groups of values whose channels can be divided, each group by the same numbers."""
    fixed = {*model.graph.inputs, *model.graph.outputs}
    groups: dict[ir.Value, Group] = {}
    for node in model.graph:
        computed = [v for v in node.inputs if v is not None and constants.value(v) is None]
        if node.op_type in _PRODUCTS and _plain(node):
            together = [computed, [*node.outputs]]
        elif (node.op_type in _SAME and len(computed) == len(node.inputs)) or _to_image(node):
            together = [[*computed, *node.outputs]]
        else:
            together = []
            fixed |= {*computed, *node.outputs}
        for values in together:
            joined = {*values}.union(*(groups.get(value, ()) for value in values))
            groups |= dict.fromkeys(joined, joined)
    distinct = {id(group): group for group in groups.values()}.values()
    return [group for group in distinct if not group & fixed and _is_local(group, model)]


def _plain(node: ir.Node) -> bool:
    """Return True if weights are constant, ungrouped, and the bias has a number for each output."""
    weights, bias = (constants.value(value) for value in (*node.inputs, None)[1:3])
    if weights is None or (len(node.inputs) > 2 and bias is None):
        return False
    if node.op_type != "Gemm":
        return bool(node.attributes.get_int("group", 1) == 1)
    sized = bias is None or bias.shape == (weights.shape[_axis(node, 0)],)
    return sized and not node.attributes.get_int("transA", 0)


def _to_image(node: ir.Node) -> bool:
    if node.op_type != "Reshape":
        return False
    shapes = [value.shape for value in (node.inputs[0], node.outputs[0]) if value is not None]
    return [0 if shape is None else len(shape) for shape in shapes] == [2, 4]


def _is_local(group: Group, model: ir.Model) -> bool:
    """Return True if no nested graph reads a value of the group."""
    return all(usage.node.graph is model.graph for value in group for usage in value.uses())


def _equalise(group: Group, peaks: Mapping[str, Array]) -> bool:
    writers = {node for value in group if (node := value.producer()) and _is_product(node)}
    uses = [(value, usage.node) for value in group for usage in value.uses()]
    readers = {node for _, node in uses if _is_product(node)}
    if not writers or not readers:
        return False
    channels = min(len(peaks[str(value.name)]) for value in group)
    read = {value for value, node in uses if node in readers}
    sizes = np.max([peaks[str(v.name)].reshape(channels, -1).max(1) for v in read], axis=0)
    columns = np.max([_columns(node, channels) for node in readers], axis=0)
    live = (sizes > 0) & (columns > 0)
    scale = np.ones(channels)
    scale[live] = sizes[live] ** _SHARE / columns[live] ** (1 - _SHARE)
    if live.any():
        scale[live] /= np.exp(np.log(scale[live]).mean())
    scale = scale.clip(1 / _MAX_SCALE, _MAX_SCALE)
    for node in writers:
        _multiply(node, 1, _axis(node, 0), 1 / scale)
        if len(node.inputs) > 2 and node.inputs[2] is not None:
            _multiply(node, 2, 0, 1 / scale)
    for node in readers:
        _multiply(node, 1, _axis(node, 1), scale)
    return True


def _is_product(node: ir.Node) -> bool:
    return node.op_type in _PRODUCTS


def _axis(node: ir.Node, side: int) -> int:
    """Return the axis of a node's weights for its outputs (side 0) or inputs (side 1)."""
    transposed = node.op_type == "Gemm" and bool(node.attributes.get_int("transB", 0))
    return _PRODUCTS[node.op_type][1 - side if transposed else side]


def _columns(node: ir.Node, channels: int) -> Array:
    """Return the largest size of the weights that read each channel."""
    columns = np.moveaxis(_constant(node, 1), _axis(node, 1), 0)
    largest: Array = np.abs(columns).reshape(channels, -1).max(1)
    return largest


def _multiply(node: ir.Node, index: int, axis: int, by: Array) -> None:
    """Multiply a constant input along an axis; `by` has one number a channel, in order."""
    array = _constant(node, index)
    each = np.repeat(by, array.shape[axis] // len(by))
    shape = [-1 if i == axis else 1 for i in range(array.ndim)]
    constants.replace(node, index, (array * each.reshape(shape)).astype(np.float32))


def _constant(node: ir.Node, index: int) -> Array:
    array = constants.value(node.inputs[index])
    assert array is not None
    return array

"""Fold BatchNorm, and other maps of channels, into the layer before them.

It matches BatchNormalization in inference mode, and Mul, Add, Sub or Div by a constant that has one
number for each channel (axis 1) or one for all, where a Gemm, MatMul, Conv or ConvTranspose of
constant weights comes before, directly or with a Reshape between that unfolds features into
channels, and nothing else reads that layer's output. It produces that layer alone:
y = scale * (W x + b) + shift has weights scale * W and bias scale * b + shift. Sums are computed in
float64 and rounded once. A map before a layer, and one after an activation, are left as they are.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from edgevae.compiler.graphs import constants, fold, linear_layer, shapes

Doubles = npt.NDArray[np.float64]


class Affine(NamedTuple):
    """The map y = scale * x + shift; both are float64 (C,), one number a channel (axis 1)."""

    scale: Doubles
    shift: Doubles


def rewrite(model: ir.Model) -> int:
    """Fold every affine map that has a layer of constant weights before it; return how many."""
    places = 0
    for node in list(model.graph):
        match = _affine(node)
        if match is None:
            continue
        before, affine = match
        if _absorb(before, affine):
            output = node.outputs[0]
            before.shape = output.shape if before.shape is None else before.shape
            output.replace_all_uses_with(before, replace_graph_outputs=True)
            if before.is_graph_output():
                before.name, output.name = output.name, None
            places += 1
    if places:
        fold.clean(model)
        shapes.infer(model)
    return places


def _affine(node: ir.Node) -> tuple[ir.Value, Affine] | None:
    """Return the value that a node maps by constants of each channel, and the map; else None."""
    sizes = shapes.sizes(node.outputs[0])
    if sizes is None or len(sizes) < 2 or not isinstance(sizes[1], int):
        return None
    if node.op_type == "BatchNormalization":
        return _batch_norm(node)
    if node.op_type not in ("Mul", "Add", "Sub", "Div"):
        return None
    left, right = node.inputs[:2]
    if left is None or right is None:
        return None
    # c + x and c * x are affine maps of this form; c - x and c / x are not.
    orders = [(left, right), (right, left)] if node.op_type in ("Mul", "Add") else [(left, right)]
    for value, other in orders:
        channels = _per_channel(constants.value(other), len(sizes), sizes[1])
        if channels is not None and shapes.sizes(value) == sizes:
            return value, _map(node.op_type, channels)
    return None


def _map(kind: str, channels: Doubles) -> Affine:
    one, zero = np.ones_like(channels), np.zeros_like(channels)
    match kind:
        case "Mul":
            return Affine(channels, zero)
        case "Div":
            return Affine(one / channels, zero)
        case "Add":
            return Affine(one, channels)
        case _:
            return Affine(one, -channels)


def _batch_norm(node: ir.Node) -> tuple[ir.Value, Affine] | None:
    arrays = [constants.value(value) for value in node.inputs[1:5]]
    training = node.attributes.get_int("training_mode", 0)
    if node.inputs[0] is None or training or any(array is None for array in arrays):
        return None
    gamma, beta, mean, variance = (np.asarray(array, np.float64) for array in arrays)
    scale = gamma / np.sqrt(variance + node.attributes.get_float("epsilon", 1e-5))
    return node.inputs[0], Affine(scale, beta - scale * mean)


def _per_channel(array: constants.Array | None, rank: int, channels: int) -> Doubles | None:
    """Return a constant as (channels,), float64; None unless it varies along axis 1 alone."""
    if array is None or array.ndim > rank or array.dtype != np.float32:
        return None
    full = array.reshape((1,) * (rank - array.ndim) + array.shape)
    if any(size != 1 for axis, size in enumerate(full.shape) if axis != 1):
        return None
    return np.broadcast_to(full.reshape(-1).astype(np.float64), channels).copy()


def _absorb(value: ir.Value, affine: Affine) -> bool:
    """Fold the map into the layer that computes a value, if nothing else reads the value."""
    layer = value.producer()
    if layer is None or len(value.uses()) != 1 or value.is_graph_output():
        return False
    if layer.op_type == "Reshape":
        return _absorb_before_reshape(layer, affine)
    if layer.domain:
        return False
    if layer.op_type in ("Gemm", "MatMul"):
        return _absorb_linear(layer, affine)
    return layer.op_type in ("Conv", "ConvTranspose") and _absorb_convolution(layer, affine)


def _absorb_convolution(layer: ir.Node, affine: Affine) -> bool:
    weight = constants.value(layer.inputs[1])
    bias = layer.inputs[2] if len(layer.inputs) > 2 else None
    b = np.zeros(1) if bias is None else constants.value(bias)
    if weight is None or b is None:
        return False
    group = layer.attributes.get_int("group", 1)
    constants.replace(layer, 1, _scaled(layer.op_type, weight, group, affine.scale))
    constants.replace(layer, 2, _rounded(affine.scale * b + affine.shift))
    return True


def _scaled(
    kind: str, weight: constants.Array, group: int, scale: Doubles
) -> npt.NDArray[np.float32]:
    """Scale the outputs of weights: Conv (O, I/group, ...), ConvTranspose (I, O/group, ...)."""
    kernel = (1,) * (weight.ndim - 2)
    if kind == "Conv":
        return _rounded(weight * scale.reshape(-1, 1, *kernel))
    grouped = weight.reshape(group, -1, *weight.shape[1:])
    return _rounded(grouped * scale.reshape(group, 1, -1, *kernel)).reshape(weight.shape)


def _absorb_linear(layer: ir.Node, affine: Affine) -> bool:
    """Fold the map into a Gemm, or a MatMul of rows, which becomes a Gemm as it now has a bias."""
    sizes, parameters = shapes.sizes(layer.inputs[0]), linear_layer.weights_and_bias(layer)
    if sizes is None or len(sizes) != 2 or parameters is None:
        return False
    weights, bias = parameters
    layer.op_type = "Gemm"
    layer.attributes.clear()
    constants.replace(layer, 1, _rounded(weights * affine.scale))
    constants.replace(layer, 2, _rounded(bias * affine.scale + affine.shift))
    return True


def _absorb_before_reshape(reshape: ir.Node, affine: Affine) -> bool:
    """Fold the map into a linear layer whose features a Reshape unfolds into channels."""
    value = reshape.inputs[0]
    before, after = shapes.sizes(value), shapes.sizes(reshape.outputs[0])
    if value is None or before is None or after is None or len(before) != 2:
        return False
    features = before[1]
    if not isinstance(features, int) or before[0] != after[0] or features % len(affine.scale):
        return False
    each = features // len(affine.scale)
    return _absorb(value, Affine(np.repeat(affine.scale, each), np.repeat(affine.shift, each)))


def _rounded(array: Doubles) -> npt.NDArray[np.float32]:
    return array.astype(np.float32)

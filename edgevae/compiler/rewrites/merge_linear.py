"""Merge a linear layer and the convolution after it into one linear layer.

Matches: Gemm -> Reshape -> Conv or ConvTranspose, of constant weights, each the only reader of the
one before. Many decoders map z to a small image by a linear layer and upsample it by a transposed
convolution, with only a Reshape between.
Writes: one Gemm and one Reshape. The product of two linear maps is linear: the rows of its matrix
are the operator applied to the rows of the layer's. It is merged again with what follows, if that
matches too; activations after the Reshape move before it, where onnxruntime fuses them with the
Gemm.
Why it is faster: one product of matrices, without an image in memory between two operators.
Cost model: fewer multiplications for a row, and at most 1.5 times the weights to read for it.
Limits: no activation may be between the two. The file grows with the weights.
"""

import math

import numpy as np
import onnx_ir as ir

from edgevae.compiler.graphs import (
    Array,
    CheckSession,
    Convolution,
    Edit,
    constants,
    convolution,
    interleave,
    linear_layer,
    only_user,
    shapes,
)

_GROWTH = 1.5  # the most by which the number of weights may grow


def rewrite(model: ir.Model) -> int:
    """Merge each Gemm and the convolutions after it; return how many were merged."""
    places = 0
    queue = [node for node in model.graph if node.op_type == "Gemm"]
    while queue:
        merged = _merge(model, queue.pop())
        if merged is not None:
            queue.append(merged)  # what follows it may be linear too
            places += 1
    for reshape in [node for node in model.graph if node.op_type == "Reshape"]:
        _activate_before(model, reshape)
    return places


def _merge(model: ir.Model, gemm: ir.Node) -> ir.Node | None:
    """Replace a Gemm, its Reshape and the operator after that; return the new Gemm or None."""
    reshape = only_user(gemm.outputs[0])
    if reshape is None or reshape.op_type != "Reshape":
        return None
    operator = only_user(reshape.outputs[0])
    if operator is None or operator.op_type not in ("Conv", "ConvTranspose"):
        return None
    layer = linear_layer.weights_and_bias(gemm)
    conv = convolution.read(operator)
    image, result = shapes.sizes(reshape.outputs[0]), shapes.sizes(operator.outputs[0])
    if layer is None or conv is None or image is None or result is None:
        return None
    weights, bias = layer
    if image[0] != shapes.BATCH or not _wins(weights, conv, operator):
        return None
    rows = np.concatenate([weights, bias[None]]).reshape(len(weights) + 1, -1, *conv.size)
    images = _apply(operator, conv, rows)
    if conv.bias is not None:
        conv_bias = constants.value(conv.bias)
        if conv_bias is None:
            return None
        images[-1] += conv_bias.reshape(-1, *[1] * len(conv.size))
    flat = images.reshape(len(images), -1)
    edit = Edit(model.graph)
    y = edit.op("Gemm", gemm.inputs[0], flat[:-1], flat[-1])
    target = np.array([0, *result[1:]], np.int64)
    edit.replace([gemm, reshape, operator], edit.op("Reshape", y, target))
    return y.producer()


def _wins(weights: Array, conv: Convolution, operator: ir.Node) -> bool:
    """Return True if merging saves multiplications and adds few weights."""
    transposed = operator.op_type == "ConvTranspose"
    channels = conv.weights.shape[1] * conv.group if transposed else len(conv.weights)
    pixels = math.prod(conv.size if transposed else conv.out)
    products = weights.size + conv.weights.size * pixels
    merged = len(weights) * channels * math.prod(conv.out)
    return merged < products and merged <= _GROWTH * (weights.size + conv.weights.size)


def _apply(operator: ir.Node, conv: Convolution, rows: Array) -> Array:
    """Return the operator's outputs, without its bias, for rows of float32 images."""
    x = ir.val("x", ir.DataType.FLOAT, ["n", *rows.shape[1:]])
    weights = ir.val("weights", const_value=ir.tensor(conv.weights))
    alone = ir.node(operator.op_type, [x, weights], dict(operator.attributes))
    y = alone.outputs[0]
    y.name, y.dtype, y.shape = "y", ir.DataType.FLOAT, ir.Shape(["n", None, *conv.out])
    graph = ir.Graph(
        [x], [y], nodes=[alone], initializers=[weights], opset_imports={"": 18}, name="operator"
    )
    return CheckSession(ir.Model(graph, ir_version=8), "operator").run(rows)[0]


def _activate_before(model: ir.Model, reshape: ir.Node) -> None:
    """Move an activation from after a Reshape to before it, where it fuses with the Gemm."""
    value, shape = reshape.inputs
    producer = value.producer() if value is not None else None
    user = only_user(reshape.outputs[0])
    if producer is None or producer.op_type != "Gemm" or user is None:
        return
    if only_user(producer.outputs[0]) is not reshape or not interleave.unary(user):
        return
    edit = Edit(model.graph)
    active = edit.like(user, producer.outputs[0])
    edit.replace([reshape, user], edit.op("Reshape", active, shape))

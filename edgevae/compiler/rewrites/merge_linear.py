"""A linear layer and the linear operator after it, as one linear layer.

Many decoders map z to a small image by a linear layer and upsample that by a transposed
convolution, with nothing between but a Reshape. Both are linear, so their product is: its matrix
is the operator, applied to each row of the layer's.
"""

import math

import numpy as np
import onnx_ir as ir

from edgevae.compiler.graphs import constants, convolution, interleave, shapes
from edgevae.compiler.graphs import linear_layer as matrix
from edgevae.compiler.graphs.constants import Array
from edgevae.compiler.graphs.convolution import Convolution
from edgevae.compiler.graphs.edit import Edit, only_user
from edgevae.compiler.graphs.parity import Runner

_GROWTH = 1.5  # by how much the weights may grow, in numbers


def rewrite(model: ir.Model) -> int:
    """Merges each Gemm and the (transposed) convolutions after it; tells how many of these."""
    done = 0
    todo = [node for node in model.graph if node.op_type == "Gemm"]
    while todo:
        merged = _merge(model, todo.pop())
        if merged is not None:
            todo.append(merged)  # with what follows, if that is linear too
            done += 1
    for reshape in [node for node in model.graph if node.op_type == "Reshape"]:
        _activate_before(model, reshape)
    return done


def _merge(model: ir.Model, gemm: ir.Node) -> ir.Node | None:
    """The new Gemm, in the place of this one, the Reshape after it and the operator after that."""
    reshape = only_user(gemm.outputs[0])
    if reshape is None or reshape.op_type != "Reshape":
        return None
    operator = only_user(reshape.outputs[0])
    if operator is None or operator.op_type not in ("Conv", "ConvTranspose"):
        return None
    layer = matrix.weights_and_bias(gemm)
    given = convolution.read(operator)
    image, result = shapes.sizes(reshape.outputs[0]), shapes.sizes(operator.outputs[0])
    if layer is None or given is None or image is None or result is None:
        return None
    weights, bias = layer
    if image[0] != shapes.BATCH or not _wins(weights, given, operator):
        return None
    rows = np.concatenate([weights, bias[None]]).reshape(len(weights) + 1, -1, *given.size)
    images = _apply(operator, given, rows)
    if given.bias is not None:
        extra = constants.value(given.bias)
        if extra is None:
            return None
        images[-1] += extra.reshape(-1, *[1] * len(given.size))
    flat = images.reshape(len(images), -1)
    edit = Edit(model.graph)
    y = edit.op("Gemm", gemm.inputs[0], flat[:-1], flat[-1])
    target = np.array([0, *result[1:]], np.int64)
    edit.replace([gemm, reshape, operator], edit.op("Reshape", y, target))
    return y.producer()


def _wins(weights: Array, given: Convolution, operator: ir.Node) -> bool:
    """The cost model: fewer products for a row, and not many more weights to read for it."""
    transposed = operator.op_type == "ConvTranspose"
    channels = given.weights.shape[1] * given.group if transposed else len(given.weights)
    pixels = math.prod(given.size if transposed else given.out)
    products = weights.size + given.weights.size * pixels
    merged = len(weights) * channels * math.prod(given.out)
    return merged < products and merged <= _GROWTH * (weights.size + given.weights.size)


def _apply(operator: ir.Node, given: Convolution, rows: Array) -> Array:
    """The operator without its bias, on rows of float32 images."""
    x = ir.val("x", ir.DataType.FLOAT, ["n", *rows.shape[1:]])
    weights = ir.val("weights", const_value=ir.tensor(given.weights))
    alone = ir.node(operator.op_type, [x, weights], dict(operator.attributes))
    y = alone.outputs[0]
    y.name, y.dtype, y.shape = "y", ir.DataType.FLOAT, ir.Shape(["n", None, *given.out])
    graph = ir.Graph(
        [x], [y], nodes=[alone], initializers=[weights], opset_imports={"": 18}, name="operator"
    )
    return Runner(ir.Model(graph, ir_version=8), "operator").run(rows)[0]


def _activate_before(model: ir.Model, reshape: ir.Node) -> None:
    """Moves an activation from after a Reshape to before it, where it fuses with the Gemm."""
    producer = reshape.inputs[0].producer() if reshape.inputs[0] is not None else None
    user = only_user(reshape.outputs[0])
    if producer is None or producer.op_type != "Gemm" or user is None:
        return
    if only_user(producer.outputs[0]) is not reshape or not interleave.unary(user):
        return
    edit = Edit(model.graph)
    active = edit.like(user, producer.outputs[0])
    edit.replace([reshape, user], edit.op("Reshape", active, reshape.inputs[1]))

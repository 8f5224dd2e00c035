"""Interleave the phases of an image: one node while passes run, plain ONNX afterwards.

The node `edgevae.Interleave` takes one image for each output phase and produces the image whose
pixel s j + r, along each axis, is pixel j of phase r. As one node it can be seen through: `hoist`
moves pointwise operators from after it to each of its inputs, where onnxruntime fuses them with
the convolution that computes the input. `lower` writes it as Reshape and Concat, which copy rows;
DepthToSpace costs several times as much.
"""

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from edgevae.compiler.graphs import constants
from edgevae.compiler.graphs.edit import Edit, only_user

DOMAIN, OP = "edgevae", "Interleave"

# Operators that map each number of one tensor by itself.
_UNARY = set(
    "Relu LeakyRelu Elu Selu Celu ThresholdedRelu Sigmoid HardSigmoid Tanh HardSwish Softplus "
    "Softsign Gelu Mish Clip Neg Abs Exp Sqrt".split()
)
_BINARY = {"Add", "Sub", "Mul", "Div", "PRelu"}


def interleave(
    edit: Edit,
    parts: Sequence[ir.Value],
    strides: Sequence[int],
    rows: Sequence[int],
    begins: Sequence[int],
    sizes: Sequence[int],
) -> ir.Value:
    """Return an image whose pixel s j + r of each axis is pixel j of part r, cropped.

    `parts` are (N, C, *rows), one for each phase, the last axis fastest. The interleaved image is
    (N, C, *(strides * rows)); the result is its `sizes` pixels from `begins` on.
    """
    attributes = {"strides": strides, "rows": rows, "begins": begins, "sizes": sizes}
    return edit.op(OP, *parts, domain=DOMAIN, **{k: list(v) for k, v in attributes.items()})


def numbers(node: ir.Node, name: str) -> list[int]:
    """Return "strides", "rows", "begins" or "sizes" of a node, one number an axis."""
    return list(node.attributes[name].as_ints())


def cropped(node: ir.Node) -> bool:
    """Return True if the result is smaller than the interleaved image."""
    whole = [s * n for s, n in zip(numbers(node, "strides"), numbers(node, "rows"), strict=True)]
    return numbers(node, "sizes") != whole


def nodes(model: ir.Model) -> list[ir.Node]:
    """Return the Interleave nodes of a graph."""
    return [node for node in model.graph if (node.domain, node.op_type) == (DOMAIN, OP)]


def hoist(model: ir.Model) -> None:
    """Move pointwise operators that follow an interleaving to its inputs."""
    todo = nodes(model)
    while todo:
        node = todo.pop()
        user = only_user(node.outputs[0])
        if user is None or not pointwise(user, node.outputs[0]):
            continue
        edit = Edit(model.graph)
        parts = [edit.like(user, part) for part in node.inputs if part is not None]
        whole = edit.op(OP, *parts, domain=DOMAIN, **_attributes(node))
        edit.replace([node, user], whole)
        producer = whole.producer()
        assert producer is not None
        todo.append(producer)


def unary(node: ir.Node) -> bool:
    """Return True if a node maps each number of its first input alike; others are constants."""
    others = (other for other in node.inputs[1:] if other is not None)
    known = node.op_type in _UNARY and not node.domain
    return known and all(constants.value(other) is not None for other in others)


def pointwise(node: ir.Node, value: ir.Value) -> bool:
    """Return True if a node maps each pixel of `value`, its first input, alike."""
    if node.domain or node.inputs[0] is not value:
        return False
    if unary(node):
        return True
    others = [constants.value(other) for other in node.inputs[1:]]
    if node.op_type not in _BINARY or value.shape is None:
        return False
    rank = len(value.shape)
    # One number a channel at most: (C, 1, 1) or less, so that the rank stays.
    return all(
        other is not None
        and other.ndim <= rank
        and other.shape[: max(0, other.ndim - rank + 1)] in ((), (1,))
        and all(size == 1 for size in other.shape[max(0, other.ndim - rank + 2) :])
        for other in others
    )


def _attributes(node: ir.Node) -> dict[str, list[int]]:
    return {name: numbers(node, name) for name in ("strides", "rows", "begins", "sizes")}


def lower(model: ir.Model) -> None:
    """Write every interleaving in plain ONNX: Concat along a new last axis, and Reshape."""
    for node in nodes(model):
        edit = Edit(model.graph)
        strides, rows = numbers(node, "strides"), numbers(node, "rows")
        channels = _channels(node)
        parts = [part for part in node.inputs if part is not None]
        done: list[int] = []
        for axis in reversed(range(len(strides))):
            # Rank: N, C, rows up to this axis, then a new one for the phases.
            before, stride = rows[: axis + 1], strides[axis]
            groups = [parts[i : i + stride] for i in range(0, len(parts), stride)]
            if stride > 1:
                parts = [_weave(edit, group, channels, before, done) for group in groups]
            done = [rows[axis] * stride, *done]
        whole = parts[0]
        begins, sizes = numbers(node, "begins"), numbers(node, "sizes")
        if cropped(node):
            ends = [begin + size for begin, size in zip(begins, sizes, strict=True)]
            axes = list(range(2, 2 + len(sizes)))
            whole = edit.op("Slice", whole, *(np.array(v, np.int64) for v in (begins, ends, axes)))
        edit.replace([node], whole)
    model.graph.opset_imports.pop(DOMAIN, None)


def _weave(
    edit: Edit, parts: Sequence[ir.Value], channels: int, before: list[int], done: list[int]
) -> ir.Value:
    """Join parts (N, C, *before, *done) along the last axis of `before`, pixel by pixel."""
    axis = 2 + len(before)
    thin = np.array([0, channels, *before, 1, *done], np.int64)
    wide = np.array([0, channels, *before[:-1], len(parts) * before[-1], *done], np.int64)
    stacked = edit.op("Concat", *(edit.op("Reshape", part, thin) for part in parts), axis=axis)
    return edit.op("Reshape", stacked, wide)


def _channels(node: ir.Node) -> int:
    shape = node.outputs[0].shape
    assert shape is not None
    assert isinstance(shape[1], int)
    return shape[1]

"""The attributes of a convolution, plain or transposed, with their defaults."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import onnx_ir as ir

from edgevae.compiler.graphs import constants, shapes


class Convolution(NamedTuple):
    """A convolution of which all sizes are known.

    `weights` are as in ONNX: (outputs, inputs / group, *kernel) for Conv and (inputs,
    outputs / group, *kernel) for ConvTranspose. `size` and `out` are the spatial sizes of input
    and output; `begins` and `ends` are the padding.
    """

    x: ir.Value
    weights: constants.Array
    bias: ir.Value | None
    size: list[int]
    out: list[int]
    strides: list[int]
    dilations: list[int]
    begins: list[int]
    ends: list[int]
    group: int

    @property
    def kernel(self) -> tuple[int, ...]:
        """The spatial sizes of the weights."""
        return self.weights.shape[2:]

    def axes(self) -> Iterator[tuple[int, int, int, int]]:
        """Yield kernel, stride, dilation and padding before, for each spatial axis."""
        return zip(self.kernel, self.strides, self.dilations, self.begins, strict=True)


def read(node: ir.Node) -> Convolution | None:
    """Read a Conv or ConvTranspose.

    Returns None if weights or sizes are not constant, or padding is by a rule.
    """
    x, weights = node.inputs[0], constants.value(node.inputs[1])
    size, out = shapes.spatial(x), shapes.spatial(node.outputs[0])
    if x is None or weights is None or size is None or out is None:
        return None
    automatic = node.attributes.get_string("auto_pad", "NOTSET") != "NOTSET"
    if automatic or "output_shape" in node.attributes:
        return None
    ones = [1] * len(size)
    pads = _ints(node, "pads", [0] * 2 * len(size))
    return Convolution(
        x,
        weights,
        (*node.inputs, None)[2],
        size,
        out,
        _ints(node, "strides", ones),
        _ints(node, "dilations", ones),
        pads[: len(size)],
        pads[len(size) :],
        node.attributes.get_int("group", 1) or 1,
    )


def _ints(node: ir.Node, name: str, default: Sequence[int]) -> list[int]:
    return list(node.attributes.get_ints(name, default) or default)

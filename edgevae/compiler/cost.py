"""Model the time of one call of a graph on one thread, for targets that cannot be measured here.

The model counts, for each operator, what takes the time of decoders and encoders:

- multiply-adds of products of matrices and of convolutions. A blocked convolution computes
  `Costs.lanes` output channels at once, however few there are;
- bytes that are copied: the output of each operator that computes nothing else, and the weights of
  a product, once for each call;
- the pixels that each output of a convolution reads, which are copied to a matrix where there is
  no blocked layout (im2col), unless the kernel has one pixel;
- the products that a transposed convolution adds to its output, one number at a time (col2im);
- a constant for each operator.
"""

import math

import onnx_ir as ir

from edgevae.compiler.graphs import constants, shapes
from edgevae.compiler.targets import Costs

_BYTES = 4  # of a float32
_FREE = {"Reshape", "Flatten", "Unsqueeze", "Squeeze", "Identity", "Constant"}  # copy nothing

Sizes = dict[str, list[int | None]]


def microseconds(model: ir.Model, rows: int, costs: Costs) -> float:
    """Return the modelled time of one call with `rows` rows."""
    sizes = shapes.at(model, 1)
    nanoseconds = 0.0
    for node in model.graph:
        if node.op_type in _FREE:
            continue
        once, each = _node(node, sizes, costs)
        nanoseconds += 1e3 * costs.node + once + rows * each
    return nanoseconds / 1e3


def _node(node: ir.Node, sizes: Sizes, costs: Costs) -> tuple[float, float]:
    """Return the nanoseconds of an operator for each call, and for each row."""
    out = _numbers(node.outputs[0], sizes)
    weights = _weights(node)
    if node.op_type in ("Gemm", "MatMul") and weights:
        return costs.copy * _BYTES * math.prod(weights), costs.gemm * out * _inputs(node, weights)
    if node.op_type in ("Conv", "ConvTranspose") and weights:
        if node.op_type == "Conv":
            return 0.0, _convolution(node, out, weights, costs)
        products = _numbers(node.inputs[0], sizes) * math.prod(weights[1:])
        return 0.0, costs.gemm * products + _scattered(node, products, weights, costs)
    return 0.0, costs.copy * _BYTES * out


def _convolution(node: ir.Node, out: int, weights: list[int], costs: Costs) -> float:
    """Return the nanoseconds of a convolution, each of whose outputs is a sum of products."""
    channels, taps = weights[0], math.prod(weights[1:])
    computed = out // channels * (-(-channels // costs.lanes) * costs.lanes)
    group = node.attributes.get_int("group", 1) or 1
    copied = out // channels * taps * group if math.prod(weights[2:]) > 1 else 0
    return costs.conv * computed * taps + costs.im2col * copied


def _scattered(node: ir.Node, products: int, weights: list[int], costs: Costs) -> float:
    """Return the nanoseconds of the sums over input channels that are added to the output."""
    group = node.attributes.get_int("group", 1) or 1
    return costs.scatter * products / (weights[0] // group)


def _inputs(node: ir.Node, weights: list[int]) -> int:
    """Return the number of products in one output of a product of matrices."""
    transposed = node.op_type == "Gemm" and bool(node.attributes.get_int("transB", 0))
    return weights[-1] if transposed else weights[-2]


def _weights(node: ir.Node) -> list[int]:
    """Return the shape of a node's second input if it is constant, else an empty list."""
    value = constants.value(node.inputs[1]) if len(node.inputs) > 1 else None
    return [] if value is None or value.ndim < 2 else list(value.shape)


def _numbers(value: ir.Value | None, sizes: Sizes) -> int:
    known = sizes.get(value.name or "", []) if value is not None else []
    return math.prod(size for size in known if size is not None)

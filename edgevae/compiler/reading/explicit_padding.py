"""Write the padding of convolutions as numbers if the exporter wrote a rule."""

import onnx_ir as ir

from edgevae.compiler.graphs import shapes


def set_pads(model: ir.Model) -> None:
    """Replace `auto_pad` and `output_shape` of convolutions by `pads` if the sizes are known.

    The formulas are those of ONNX's Conv and ConvTranspose. A node whose output is larger than
    without any padding is left as it is.
    """
    for node in model.graph:
        if _by_rule(node):
            # Before each node, as onnx infers wrong sizes for a ConvTranspose by a rule.
            shapes.infer(model)
            _set_pads(node)


def _by_rule(node: ir.Node) -> bool:
    rule = node.attributes.get_string("auto_pad", "NOTSET")
    convolves = node.op_type in ("Conv", "ConvTranspose")
    return convolves and (rule != "NOTSET" or "output_shape" in node.attributes)


def _set_pads(node: ir.Node) -> None:
    attributes = node.attributes
    size, kernel = shapes.spatial(node.inputs[0]), shapes.spatial(node.inputs[1])
    if size is None or kernel is None:
        return
    totals = _totals(node, size, kernel)
    if min(totals) < 0:
        return
    # An odd pixel goes to the end for SAME_UPPER, else to the beginning.
    halves = [total // 2 for total in totals]
    others = [total - half for total, half in zip(totals, halves, strict=True)]
    upper = attributes.get_string("auto_pad", "NOTSET") == "SAME_UPPER"
    attributes.pop("auto_pad", None)
    attributes.pop("output_shape", None)
    attributes.add(ir.AttrInt64s("pads", halves + others if upper else others + halves))


def _totals(node: ir.Node, size: list[int], kernel: list[int]) -> list[int]:
    """Return the padding of each axis, both ends together."""
    attributes = node.attributes
    ones, zeros = [1] * len(size), [0] * len(size)
    strides = attributes.get_ints("strides", ones) or ones
    dilations = attributes.get_ints("dilations", ones) or ones
    extra = attributes.get_ints("output_padding", zeros) or zeros
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    output_shape = attributes.get_ints("output_shape", None)
    if output_shape is None and attributes.get_string("auto_pad") == "VALID":
        return zeros
    if node.op_type == "Conv":
        axes = zip(size, strides, reach, strict=True)
        return [max(0, ((n - 1) // s) * s + r - n) for n, s, r in axes]
    out = [n * s for n, s in zip(size, strides, strict=True)]
    if output_shape:
        out = list(output_shape[-len(size) :])
    grown = zip(size, strides, extra, reach, out, strict=True)
    return [s * (n - 1) + e + r - o for n, s, e, r, o in grown]

"""A tensor that a convolution and a sum both read, kept in the blocked layout.

onnxruntime adds a residual inside of the convolution's kernel, but only where both are in its
blocked layout. What was reshaped, as an interleaved image was, is not: the sum would leave the
layout, and every convolution enter it again. A maximum over one pixel changes nothing, and is
computed in the layout.
"""

import onnx_ir as ir

from edgevae.compiler.graphs import interleave, shapes

_LANES = 16  # the largest block of channels that onnxruntime has


def rewrite(model: ir.Model) -> int:
    """Holds every such tensor in the layout; tells how many."""
    places = [node for node in model.graph if node.op_type in ("Reshape", interleave.OP)]
    return sum(_hold(model, node.outputs[0]) for node in places)


def _hold(model: ir.Model, value: ir.Value) -> bool:
    known = shapes.sizes(value)
    users = [usage.node for usage in value.uses()]
    kinds = {user.op_type for user in users}
    if known is None or len(known) != 4 or not isinstance(known[1], int) or known[1] % _LANES:
        return False
    if value.is_graph_output() or not kinds >= {"Conv", "Add"}:
        return False
    held = ir.node("MaxPool", [value], {"kernel_shape": [1, 1]})
    value.replace_all_uses_with(held.outputs[0])
    held.replace_input_with(0, value)
    producer = value.producer()
    assert producer is not None
    producer.append(held)
    return True

"""What a row costs, for the plans of whoever loads the bundle: memory, and rows at a time."""

import math

import onnx_ir as ir

from edgevae.compiler.graphs import shapes
from edgevae.compiler.graphs.parity import Floats
from edgevae.compiler.rewrites import race
from edgevae.engine import plans

# onnxruntime's arena, with the workspaces of its convolutions, took two to three times what lives.
_ARENA = 3
# A chunk whose activations fill so many bytes was among the best of each decoder measured, but for
# linear ones, which gain nothing beyond so many rows.
_CACHE = 4 << 20
_MOST = 256


def row_bytes(model: ir.Model) -> int:
    """Memory that one more row in flight takes."""
    return _ARENA * _living(model)


def modelled_chunk(model: ir.Model) -> int:
    """Rows for one worker, by what of them lives at once."""
    return max(1, min(_MOST, _CACHE // _living(model)))


def measured_chunk(model: ir.Model, items: Floats, *, seconds: float = 1.0) -> int:
    """Rows for one worker, by a measurement on this machine, for about so many seconds.

    The middle one of the sizes that are as good as the best, or the smaller of two: a small one
    pays for each chunk, a large one for the memory that workers share, which one thread's own
    work does not show.
    """
    # Beyond this size, memory is all that changes.
    largest = min(plans.CHUNK_SIZES[-1], 4 * modelled_chunk(model))
    sizes = [size for size in plans.CHUNK_SIZES if size <= largest]
    costs = race.by_rows(ir.to_proto(model).SerializeToString(), items, sizes, seconds=seconds)
    good = [size for size in sizes if costs[size] * plans.NEARLY_BEST <= min(costs.values())]
    return good[(len(good) - 1) // 2]


def _living(model: ir.Model) -> int:
    """Bytes of one row's float32 values that are alive at once, at most.

    A value lives from the node that makes it to the last that takes it.
    """
    sizes = {
        name: math.prod(size for size in shape if size is not None)
        for name, shape in shapes.at(model, 1).items()
    }
    nodes = list(model.graph)
    last = {value.name: i for i, node in enumerate(nodes) for value in node.inputs if value}
    made = {value.name: sizes.get(value.name or "", 0) for node in nodes for value in node.outputs}
    alive = most = 0
    for i, node in enumerate(nodes):
        alive += sum(made[value.name] for value in node.outputs)
        most = max(most, alive)
        gone = {value.name for value in node.inputs if value and last[value.name] == i}
        gone |= {value.name for value in node.outputs if value.name not in last}
        alive -= sum(made.get(name, 0) for name in gone)
    return max(4, 4 * most)

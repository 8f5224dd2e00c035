"""Measure how many rows at a time are best for one worker."""

import onnx_ir as ir

from edgevae.compiler.graphs import Floats, memory
from edgevae.compiler.rewrites import race
from edgevae.engine import plans


def measured_chunk(model: ir.Model, items: Floats, *, seconds: float = 1.0) -> int:
    """Return the rows for one worker at a time, by a measurement of about `seconds` seconds.

    Of the sizes as good as the best it takes the middle one, or the smaller of two: a small size
    pays for each chunk, a large one for the memory that workers share, which one thread's own
    work does not show.
    """
    # Beyond four times the modelled chunk only the memory changes.
    largest = min(plans.CHUNK_SIZES[-1], 4 * memory.modelled_chunk(model))
    sizes = [size for size in plans.CHUNK_SIZES if size <= largest]
    costs = race.by_rows(ir.to_proto(model).SerializeToString(), items, sizes, seconds=seconds)
    good = [size for size in sizes if costs[size] * plans.NEARLY_BEST <= min(costs.values())]
    return good[(len(good) - 1) // 2]

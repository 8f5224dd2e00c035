"""Measure how many rows of a graph at a time are best for one worker, and the time of calls."""

from typing import NamedTuple

import onnx_ir as ir

from edgevae.compiler.graphs import Floats, memory
from edgevae.compiler.rewrites import race
from edgevae.engine import plans

CALL_ROWS = (1, 16, 64, 256)  # of the calls whose time an entry states


class Measured(NamedTuple):
    """The rows for one worker at a time, and microseconds of one call by its number of rows."""

    chunk_rows: int
    call_us: dict[int, float]


def measure(model: ir.Model, items: Floats, *, seconds: float = 1.0) -> Measured:
    """Measure a graph on one thread for about `seconds` seconds.

    Of the sizes as good as the best it takes the middle one, or the smaller of two: a small size
    pays for each chunk, a large one for the memory that workers share, which one thread's own
    work does not show. The times are those of `CALL_ROWS` up to the largest size, which is small
    where a row is expensive.
    """
    # Beyond four times the modelled chunk only the memory changes.
    largest = min(plans.CHUNK_SIZES[-1], 4 * memory.modelled_chunk(model))
    sizes = [size for size in plans.CHUNK_SIZES if size <= largest]
    graph = ir.to_proto(model).SerializeToString()
    costs = race.by_rows(graph, items, sizes, seconds=seconds)
    good = [size for size in sizes if costs[size] * plans.NEARLY_BEST <= min(costs.values())]
    call_us = {rows: round(1e6 * rows * costs[rows], 1) for rows in CALL_ROWS if rows in costs}
    return Measured(good[(len(good) - 1) // 2], call_us)

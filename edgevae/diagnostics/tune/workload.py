"""The rows on which a role is measured."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevae.diagnostics.tune.rates import Work
from edgevae.engine import Runner, plans

# The largest memory of the rows in flight in bytes, by the plan's estimate, and that of the
# inputs and outputs; both bound the number of rows.
_IN_FLIGHT = 1 << 30
_ARRAYS = 1 << 28
# The number of different items of x; its time does not depend on them.
_ITEMS = 64


def workload(runner: Runner, role: str, rows: int) -> tuple[int, Callable[[Runner], Work]]:
    """Return the number of rows, at most `rows`, and a function that makes a runner's work of them.

    The decoder's inputs are drawn from the prior, or from N(0, I) if the bundle has none; those of
    the encoder are decoded from them.
    """
    bundle = runner.bundle
    array_bytes = 4 * (math.prod(bundle.x_shape) + 2 * bundle.dims)
    rows = min(rows, _IN_FLIGHT // plans.row_bytes(bundle, role), _ARRAYS // array_bytes)
    rows = max(1, rows)
    z, y = runner.prior.draw(rows, seed=0), np.zeros(rows, np.int64)
    inputs: dict[str, NDArray[Any]] = {"z": z, "y": y}
    if role != "decoder":
        few = runner.decode(z[:_ITEMS], y[:_ITEMS] if bundle.classes else None)
        inputs = {"x": np.resize(few, (rows, *bundle.x_shape))}
    graph = runner.graph(role)
    outputs = {name: np.zeros((rows, *shape), np.float32) for name, shape in graph.outputs.items()}

    def work_of(other: Runner) -> Work:
        ports = other.graph(role).inputs
        return other.work(role, {name: inputs[name] for name in ports}, outputs)

    return rows, work_of

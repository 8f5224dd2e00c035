"""The cost of a graph's calls in microseconds on one thread, by the number of rows.

The costs are those of the graph's entry in the manifest (`call_us`), measured or modelled when the
bundle was compiled. If it has none, they follow from the number of weights: each is used once for
a row, or once for each step of a signal or a text. Images have no such estimate, since a
convolution uses its weights many times.
"""

import math
from collections.abc import Mapping

from edgevae.bundle import Bundle, GraphEntry

# The multiply-adds of a core with 8 lanes in a microsecond, and the cost of a call beside its rows.
_MULTIPLY_ADDS = 20_000
_CALL = 3.0


class Costs:
    """The microseconds of a call on one thread: linear between the known numbers of rows."""

    def __init__(self, call_us: Mapping[int, float]) -> None:
        self._known = sorted(call_us.items())

    def call(self, rows: int) -> float:
        """Return the microseconds of one call for some number of rows."""
        if len(self._known) == 1:
            ((known, cost),) = self._known
            return cost * rows / known
        pairs = [*zip(self._known, self._known[1:], strict=False)]
        (low, low_us), (high, high_us) = next(
            (pair for pair in pairs if rows <= pair[1][0]), pairs[-1]
        )
        return low_us + max(0.0, high_us - low_us) * (rows - low) / (high - low)

    def rows_within(self, microseconds: float, most: int) -> int:
        """Return the largest number of rows, from 1 to `most`, whose call takes at most that."""
        low, high = 1, most
        while low < high:
            middle = (low + high + 1) // 2
            if self.call(middle) <= microseconds:
                low = middle
            else:
                high = middle - 1
        return low


def known(entry: GraphEntry) -> Costs | None:
    """Return the costs in an entry of the manifest; None if it has none."""
    call_us = {int(rows): us for rows, us in entry.call_us.items() if us > 0}
    return Costs(call_us) if call_us else None


def estimated(bundle: Bundle, entry: GraphEntry) -> Costs | None:
    """Return costs by the number of weights; None for images."""
    if bundle.data.drawable:
        return None
    weights = bundle.files[entry.file].bytes / 4
    row = weights * math.prod(bundle.x_shape[1:]) / _MULTIPLY_ADDS
    return Costs({1: _CALL + row, 2: _CALL + 2 * row})

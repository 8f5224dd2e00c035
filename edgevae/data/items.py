"""Items as float32 rows, with the way back to the type in which a caller passed them."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from edgevae import checks
from edgevae._core import extremes
from edgevae.checks import LARGEST
from edgevae.errors import InputError

Floats = npt.NDArray[np.float32]
Range = tuple[float, float]

# A value may lie outside of the range by this many times the range's width. Noise of sigma 0.5
# stays within that; values of 0 to 255 for a model of [0, 1] do not.
_SLACK = 4


class Items(NamedTuple):
    """A caller's items as float32 rows (N, *x_shape), and the way back.

    `restore` converts any number of such rows into a batch of the caller's type. `single` is true
    if the caller passed one item without a batch axis.
    """

    rows: Floats
    restore: Callable[[Floats], Any]
    single: bool = False

    def back(self, x_hat: Floats) -> Any:
        """Return one result for each row, in a batch if the caller passed a batch."""
        results = self.restore(x_hat)
        return results[0] if self.single else results

    def several(self, x_hat: Floats) -> Any:
        """Return n results for each row, from x_hat of shape (n, N, *x_shape).

        The result is an array (N, n, ...) or a list of N lists. A single item has n results, and
        no axis N.
        """
        results = [self.back(one_each) for one_each in x_hat]
        if isinstance(results[0], np.ndarray):
            return np.stack(results, axis=0 if self.single else 1)
        return results if self.single else [list(row) for row in zip(*results, strict=True)]


def batched(x: npt.NDArray[Any], item_shape: tuple[int, ...]) -> tuple[npt.NDArray[Any], bool]:
    """Return x with a batch axis, and True if it was a single item without one.

    Raises `InputError` for any other shape.
    """
    checks.refuse_masked(x, "x")
    x = np.asarray(x)  # without the behaviour of a subclass
    shape = x.shape
    if shape[1:] == item_shape:
        return x, False
    if shape == item_shape:
        return x[None], True
    dims = ", ".join(map(str, item_shape))
    raise InputError(f"x: expected {x.dtype} of shape (N, {dims}) or ({dims}), got {shape}")


def accepted(x_range: Range | None) -> Range:
    """Return the smallest and the largest value that items may have."""
    if x_range is None:
        return -LARGEST, LARGEST
    low, high = x_range
    slack = _SLACK * (high - low)
    return low - slack, high + slack


def check_values(rows: Floats, x_range: Range | None) -> None:
    """Raise `InputError` for NaN and infinity, and for values far outside of the range.

    `rows` is C-contiguous.
    """
    if not rows.size:
        return
    least, most = extremes(rows)
    if not (math.isfinite(least) and math.isfinite(most)):
        bad = ~np.isfinite(rows.reshape(len(rows), -1)).all(axis=1)
        raise InputError(
            f"x: expected finite numbers, got NaN or infinity in row {bad.argmax()} "
            f"({bad.sum()} of {len(rows)} rows); remove them or replace them"
        )
    if x_range is None:
        return
    low, high = x_range
    lowest, highest = accepted(x_range)
    if least < lowest or most > highest:
        raise InputError(
            f"x: expected values of about {low:g} to {high:g}, got {least:g} to {most:g}; scale "
            f"them as in training (pixels of 0 to 255: pass uint8, or divide by 255)"
        )

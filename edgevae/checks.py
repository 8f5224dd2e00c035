"""What callers give, checked before any work: an `InputError` names the argument and the fix."""

from operator import index

import numpy as np
import numpy.typing as npt

from edgevae import sampling
from edgevae.errors import InputError

Floats = npt.NDArray[np.float32]

# The last of the 2^64 seeds and rows.
LAST = (1 << 64) - 1


def whole(value: int, name: str, *, least: int = 0, most: int | None = None) -> int:
    """A whole number within its bounds."""
    try:
        number = index(value)
    except TypeError:
        number = -1
    if isinstance(value, bool) or number < least or (most is not None and number > most):
        bound = f"at least {least}" if most is None else f"from {least} to {most}"
        raise InputError(f"{name}: expected a whole number {bound}, got {value!r:.60}")
    return number


def seed(value: int | None) -> int:
    """One of the 2^64 seeds; a fresh one for None."""
    return sampling.fresh_seed() if value is None else whole(value, "seed", most=LAST)


def start(value: int) -> int:
    """The number of a first row, one of 2^64 of a stream."""
    return whole(value, "start", most=LAST)


def least_zero(value: float, name: str, unit: str) -> float:
    """A finite number of at least 0; `unit` tells what it is, where it is not one."""
    if not isinstance(value, (int, float, np.number)) or not 0 <= value < float("inf"):
        raise InputError(
            f"{name}: expected a finite number of at least 0 ({unit}), got {value!r:.60}"
        )
    return float(value)


def temperature(value: float) -> float:
    """A finite scale of the noise, at least 0."""
    return least_zero(value, "temperature", "1 is the prior itself")


def latents(z: npt.ArrayLike) -> Floats:
    """z as dense, finite float32."""
    try:
        rows = np.asarray(z)
    except ValueError:  # lists of different lengths
        rows = np.asarray(None)
    if rows.dtype.kind not in "fiu":
        raise InputError(f"z: expected an array of float32, got {z!r:.60}")
    rows = np.ascontiguousarray(rows, np.float32)
    if not np.isfinite(rows).all():
        raise InputError("z: expected finite numbers, got NaN or infinity; remove such rows")
    return rows

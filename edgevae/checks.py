"""What callers give, checked before any work: an `InputError` names the argument and the fix."""

from operator import index
from typing import Any

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


def drawing(
    n: int, seed_given: int | None, first: int, scale: float
) -> tuple[int, int, int, float]:
    """What rows of a prior to draw: how many, their seed, the first of them, the temperature."""
    return whole(n, "n", most=LAST), seed(seed_given), start(first), temperature(scale)


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


def room(
    shape: tuple[int, ...], dtype: str, out: npt.NDArray[Any] | None = None
) -> npt.NDArray[Any]:
    """The array to fill: `out`, where it is what the result will be, or a new one."""
    if out is None:
        return _empty(shape, dtype)
    if (
        not isinstance(out, np.ndarray)
        or (out.dtype, out.shape) != (np.dtype(dtype), shape)
        or not (out.flags.c_contiguous and out.flags.writeable)
    ):
        raise InputError(
            f"out: expected a writable C-contiguous {dtype} array of shape {shape}, got "
            f"{_described(out)}; numpy.empty({shape}, {dtype!r}) makes one"
        )
    return out


def _described(out: object) -> str:
    if not isinstance(out, np.ndarray):
        return f"a {type(out).__name__}"
    flags = {"not contiguous": not out.flags.c_contiguous, "read-only": not out.flags.writeable}
    return ", ".join([f"{out.dtype} {out.shape}", *(flag for flag, true in flags.items() if true)])


def _empty(shape: tuple[int, ...], dtype: str) -> npt.NDArray[Any]:
    try:
        return np.empty(shape, dtype)
    except (MemoryError, ValueError) as error:
        raise InputError(
            f"n: {shape[0]} rows do not fit into memory ({error}); use stream, or generate parts "
            f"of them by start"
        ) from error

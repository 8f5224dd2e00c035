"""Checks of arguments before any work begins: an `InputError` names the argument and the fix."""

import math
import os
from operator import index
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from edgevae import sampling
from edgevae._core import is_finite
from edgevae.errors import InputError

Floats = npt.NDArray[np.float32]

# The largest seed, and the largest row number of a stream.
LAST = (1 << 64) - 1
# The largest finite float32.
LARGEST = float(np.finfo(np.float32).max)


def integer(value: int, name: str, *, least: int = 0, most: int | None = None) -> int:
    """Return an integer within its bounds."""
    if type(value) is int and value >= least and most is None:
        return value  # as most callers pass it
    try:
        number = index(value)
    except TypeError:
        number = -1
    if isinstance(value, bool) or number < least or (most is not None and number > most):
        bound = f"at least {least}" if most is None else f"from {least} to {most}"
        raise InputError(f"{name}: expected a whole number {bound}, got {value!r:.60}")
    return number


def seed(value: int | None) -> int:
    """Return a seed in [0, LAST]; a fresh one for None."""
    return sampling.fresh_seed() if value is None else integer(value, "seed", most=LAST)


def start(value: int) -> int:
    """Return the number of a first row, in [0, LAST]."""
    return integer(value, "start", most=LAST)


def nonnegative(value: float, name: str, unit: str) -> float:
    """Return a finite number of at least 0; `unit` describes it in the error."""
    if type(value) is float and 0 <= value < math.inf:
        return value  # as most callers pass it
    if not isinstance(value, (int, float, np.number)) or not 0 <= value < math.inf:
        raise InputError(
            f"{name}: expected a finite number of at least 0 ({unit}), got {value!r:.60}"
        )
    return float(value)


def temperature(value: float) -> float:
    """Return the scale of the noise: a finite number of at least 0."""
    return nonnegative(value, "temperature", "1 is the prior itself")


def drawing(
    n: int, seed_or_none: int | None, first: int, scale: float
) -> tuple[int, int, int, float]:
    """Return the number of rows to draw, their seed, the first row and the temperature."""
    return integer(n, "n", most=LAST), seed(seed_or_none), start(first), temperature(scale)


def latents(z: npt.ArrayLike) -> Floats:
    """Return z as a C-contiguous array of finite float32."""
    rows = _converted(z)
    if not is_finite(rows):
        raise InputError("z: expected finite numbers, got NaN or infinity; remove such rows")
    return rows


def _converted(z: npt.ArrayLike) -> Floats:
    try:
        rows = np.asarray(z)
    except ValueError:  # lists of different lengths
        rows = np.asarray(None)
    if rows.dtype.kind not in "fiu":
        raise InputError(f"z: expected an array of float32, got {z!r:.60}")
    # A view of a subclass's memory that is not aligned is copied too.
    return np.require(rows, np.float32, ["C", "A"])


def output_array(
    shape: tuple[int, ...], dtype: str, out: npt.NDArray[Any] | None = None
) -> npt.NDArray[Any]:
    """Return the array to fill: `out`, if it has this shape and dtype, or a new one."""
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


def open_file(path: str | os.PathLike[str]) -> IO[bytes]:
    """Return a file that is open for reading. Raises `InputError` if it cannot be opened."""
    try:
        return open(path, "rb")
    except OSError as error:
        raise InputError(
            f"{os.fspath(path)}: expected a file that can be read: {error.strerror}"
        ) from error

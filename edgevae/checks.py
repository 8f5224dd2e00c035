"""Checks of arguments before any work begins: an `InputError` names the argument and the fix."""

import math
import os
from collections.abc import Collection
from operator import index
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from edgevae import sampling
from edgevae._core import is_finite
from edgevae.errors import InputError, show

Floats = npt.NDArray[np.float32]

# The largest seed, and the largest row number of a stream.
LAST = (1 << 64) - 1
# The largest number of draws of a posterior, whose number is a part of the noise's counter.
LAST_DRAW = (1 << 24) - 1
# The largest finite float32.
LARGEST = float(np.finfo(np.float32).max)


def integer(value: int, name: str, *, least: int = 0, most: int | None = None) -> int:
    """Return an integer within its bounds."""
    if type(value) is int and value >= least and most is None:
        return value  # as most callers pass it
    try:
        number = index(value)
    except Exception:  # which `__index__` may raise
        number = least - 1
    if isinstance(value, bool) or number < least or (most is not None and number > most):
        bound = f"at least {least}" if most is None else f"from {least} to {most}"
        raise InputError(f"{name}: expected a whole number {bound}, got {show(value)}")
    return number


def seed(value: int | None) -> int:
    """Return a seed in [0, LAST]; a fresh one for None."""
    return sampling.fresh_seed() if value is None else integer(value, "seed", most=LAST)


def start(value: int) -> int:
    """Return the number of a first row, in [0, LAST]."""
    return integer(value, "start", most=LAST)


def nonnegative(value: float, name: str, unit: str) -> float:
    """Return a finite number of at least 0; `unit` describes it in the error."""
    if type(value) is float and 0 <= value <= LARGEST:
        return value  # as most callers pass it
    number = real(value)
    if not 0 <= number <= LARGEST:
        raise InputError(
            f"{name}: expected a finite number of at least 0 ({unit}), got {show(value)}"
        )
    return number


def real(value: object) -> float:
    """Return a real number as a float; NaN for anything else, and for what a float cannot hold."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.nan


def flag(value: bool, name: str) -> bool:
    """Return True or False, which 1 and 0 stand for too."""
    if not isinstance(value, (int, np.integer, np.bool_)) or value not in (0, 1):
        raise InputError(f"{name}: expected True or False, got {show(value)}")
    return bool(value)


def text(value: str, name: str, example: str) -> str:
    """Return a string; `example` is one that the argument takes."""
    if not isinstance(value, str):
        raise InputError(f"{name}: expected a string such as {example!r}, got {show(value)}")
    return value


def choice(value: str, name: str, choices: Collection[str]) -> str:
    """Return one of some strings."""
    if not isinstance(value, str) or value not in choices:
        raise InputError(f"{name}: expected {', '.join(choices)}, got {show(value)}")
    return value


def path(value: str | os.PathLike[str], name: str) -> Path:
    """Return the path of a file or a folder."""
    try:
        place = Path(value)
        if os.fspath(value) and b"\0" not in os.fsencode(place):
            return place
    except (TypeError, ValueError):  # of bytes and other types, and of half a surrogate pair
        pass
    raise InputError(f"{name}: expected a path, got {show(value)}")


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
    refuse_masked(z, "z")
    try:
        rows = np.asarray(z)
    except Exception:  # of lists of different lengths, of too many lists in lists, of `__array__`
        rows = np.asarray(None)
    if rows.dtype.kind not in "fiu":
        raise InputError(f"z: expected an array of float32, got {show(z)}")
    return floats(rows, "z")


def floats(array: npt.NDArray[Any], name: str) -> Floats:
    """Return an array of numbers as C-contiguous and aligned float32.

    A number beyond the range of float32 becomes infinity.
    """
    try:
        if array.dtype == np.float32:
            return np.require(array, np.float32, ["C", "A"])
        with np.errstate(over="ignore"):
            return np.require(array, np.float32, ["C", "A"])
    except MemoryError as error:
        raise InputError(
            f"{name}: an array of shape {array.shape} does not fit into memory; pass parts of it"
        ) from error


def refuse_masked(x: object, name: str) -> None:
    """Raise `InputError` for an array whose mask hides values, which are no numbers."""
    if np.ma.is_masked(x):
        raise InputError(
            f"{name}: expected numbers, got an array with masked values; {name}.filled(value) "
            f"replaces them"
        )


def fitting(count: int, name: str, shape: tuple[int, ...]) -> int:
    """Return the number of rows of a result, float32 (count, *shape), that memory holds."""
    _empty((count, *shape), "float32", name)
    return count


def output_array(
    shape: tuple[int, ...], dtype: str, out: npt.NDArray[Any] | None = None
) -> npt.NDArray[Any]:
    """Return the array to fill: `out`, if it has this shape and dtype, or a new one."""
    if out is None:
        return _empty(shape, dtype, "n")
    if (
        not isinstance(out, np.ndarray)
        or (out.dtype, out.shape) != (np.dtype(dtype), shape)
        or not (out.flags.c_contiguous and out.flags.writeable and out.flags.aligned)
        or np.ma.isMaskedArray(out)
    ):
        raise InputError(
            f"out: expected a writable C-contiguous {dtype} array of shape {shape}, got "
            f"{_described(out)}; numpy.empty({shape}, {dtype!r}) makes one"
        )
    return out


def _described(out: object) -> str:
    if not isinstance(out, np.ndarray) or np.ma.isMaskedArray(out):
        return f"a {type(out).__name__}"
    flags = {
        "not contiguous": not out.flags.c_contiguous,
        "read-only": not out.flags.writeable,
        "not aligned": not out.flags.aligned,
    }
    return ", ".join([f"{out.dtype} {out.shape}", *(flag for flag, true in flags.items() if true)])


def _empty(shape: tuple[int, ...], dtype: str, name: str) -> npt.NDArray[Any]:
    try:
        return np.empty(shape, dtype)
    except (MemoryError, ValueError) as error:
        raise too_many(shape[0], name, error) from error


def too_many(rows: int, name: str, error: BaseException) -> InputError:
    """Return the error for a number of rows whose arrays do not fit into memory."""
    return InputError(
        f"{name}: {show(rows)} rows do not fit into memory ({error}); use stream, or generate "
        f"parts of them by start, or ask for fewer"
    )


def open_file(path: str | os.PathLike[str]) -> IO[bytes]:
    """Return a file that is open for reading. Raises `InputError` if it cannot be opened."""
    try:
        return open(path, "rb")
    except OSError as error:
        raise InputError(
            f"{os.fspath(path)}: expected a file that can be read: {error.strerror}"
        ) from error
    except ValueError as error:  # of NUL, and of half a surrogate pair
        raise InputError(f"{show(path)}: expected the name of a file: {error}") from error

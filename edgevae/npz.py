"""Arrays in the .npz files of a bundle, whose names, types and values are checked on reading."""

import io
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevae.errors import BundleError

# numpy parses the headers of arrays with `ast`, which in some versions of CPython 3.11 raises a
# SystemError ("AST constructor recursion depth mismatch") if several threads use it at once.
_reading = threading.Lock()


def _renew_lock() -> None:
    """Replace the lock in a forked child, where the thread that held it does not exist."""
    global _reading
    _reading = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def dump(arrays: Mapping[str, npt.ArrayLike]) -> bytes:
    """Return the content of an .npz file of these arrays."""
    file = io.BytesIO()
    dense: dict[str, Any] = {key: np.asarray(value) for key, value in arrays.items()}
    np.savez(file, **dense)
    return file.getvalue()


def _dtype(key: str) -> type[np.generic]:
    """Return the dtype of an array of the prior or the self-check: y is int64, others float32."""
    return np.int64 if key == "y" else np.float32


def dump_typed(arrays: Mapping[str, npt.ArrayLike]) -> bytes:
    """Return the content of an .npz file of arrays of the prior or the self-check."""
    return dump({key: np.asarray(value, _dtype(key)) for key, value in arrays.items()})


def load(
    path: Path, keys: Sequence[str] | None = None, optional: Sequence[str] = ()
) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays `keys` of a file and those of `optional` that it has; None takes all.

    Raises `BundleError` unless all numbers are finite.
    """
    try:
        with _reading, np.load(path, allow_pickle=False) as file:
            found = [key for key in optional if key in file.files]
            arrays = {key: file[key] for key in (file.files if keys is None else [*keys, *found])}
    except (OSError, ValueError, EOFError, KeyError, _bad_zip()) as error:
        wanted = "" if keys is None else f" {', '.join(keys)}"
        raise BundleError(
            f"{path}: expected arrays{wanted}, got {error}; export the bundle again"
        ) from error
    for key, array in arrays.items():
        if array.dtype.kind not in "fiu" or not np.isfinite(array).all():
            raise BundleError(
                f"{path}: {key} must be finite numbers, got {array.dtype}; export the bundle again"
            )
    return arrays


def load_typed(
    path: Path, keys: Sequence[str], optional: Sequence[str] = ()
) -> dict[str, npt.NDArray[Any]]:
    """Return arrays of the prior or the self-check as `load` does.

    Raises `BundleError` for a wrong dtype.
    """
    arrays = load(path, keys, optional)
    for key, array in arrays.items():
        if array.dtype != _dtype(key):
            raise BundleError(
                f"{path}: {key} must be {_dtype(key).__name__}, got {array.dtype}; export the "
                f"bundle again"
            )
    return arrays


def _bad_zip() -> type[Exception]:
    from zipfile import BadZipFile

    return BadZipFile


def check_shape(path: Path, key: str, array: npt.NDArray[Any], expected: tuple[int, ...]) -> None:
    """Raise `BundleError` for an array of another shape."""
    if array.shape != expected:
        raise BundleError(
            f"{path}: {key} must have shape {expected}, got {array.shape}; export the bundle again"
        )

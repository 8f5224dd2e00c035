"""Arrays in the .npz files of a bundle, whose names, types and values are checked on reading.

The reader of the members is not numpy's: that evaluates a header as Python, allocates the shape
that the header declares, and expands a member to any size.
"""

import io
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevae.errors import BundleError

# Compressed members may expand a file by at most this many bytes.
_MOST_EXPANDED = 64 << 20

_SUFFIX = ".npy"
# The start of a member in version 1 or 2 of the format, which end in the length of the header.
_STARTS = {b"\x93NUMPY\x01\x00": 2, b"\x93NUMPY\x02\x00": 4}
_HEADER = re.compile(
    rb"\{'descr': '([<>|][a-zA-Z][0-9]{1,8})', 'fortran_order': (True|False), "
    rb"'shape': \(((?:[0-9]{1,18}, ?)*(?:[0-9]{1,18})?)\), \} *\n?"
)


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
    content: bytes, path: Path, keys: Sequence[str] | None = None, optional: Sequence[str] = ()
) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays `keys` of a file and those of `optional` that it has; None takes all.

    `path` names the file in errors. Raises `BundleError` unless all numbers are finite.
    """
    try:
        arrays = _read(content, keys, optional)
    except _read_errors() as error:
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
    content: bytes, path: Path, keys: Sequence[str], optional: Sequence[str] = ()
) -> dict[str, npt.NDArray[Any]]:
    """Return arrays of the prior or the self-check as `load` does.

    Raises `BundleError` for a wrong dtype.
    """
    arrays = load(content, path, keys, optional)
    for key, array in arrays.items():
        if array.dtype != _dtype(key):
            raise BundleError(
                f"{path}: {key} must be {_dtype(key).__name__}, got {array.dtype}; export the "
                f"bundle again"
            )
    return arrays


def check_shape(path: Path, key: str, array: npt.NDArray[Any], expected: tuple[int, ...]) -> None:
    """Raise `BundleError` for an array of another shape."""
    if array.shape != expected:
        raise BundleError(
            f"{path}: {key} must have shape {expected}, got {array.shape}; export the bundle again"
        )


def as_float32(arrays: Mapping[str, npt.NDArray[Any]], path: Path) -> dict[str, Any]:
    """Return arrays of finite numbers as C-contiguous float32.

    Raises `BundleError` for a number that float32 does not hold.
    """
    with np.errstate(over="ignore"):
        converted = {key: np.ascontiguousarray(a, np.float32) for key, a in arrays.items()}
    for key, array in converted.items():
        if not np.isfinite(array).all():
            raise BundleError(
                f"{path}: {key} must be numbers that float32 holds; export the bundle again"
            )
    return converted


def _read(
    content: bytes, keys: Sequence[str] | None, optional: Sequence[str]
) -> dict[str, npt.NDArray[Any]]:
    import zipfile

    with zipfile.ZipFile(io.BytesIO(content)) as file:
        members = {info.filename.removesuffix(_SUFFIX): info for info in file.infolist()}
        if sum(info.file_size for info in file.infolist()) > len(content) + _MOST_EXPANDED:
            raise ValueError(f"members that expand it by more than {_MOST_EXPANDED} bytes")
        wanted = members if keys is None else [*keys, *(key for key in optional if key in members)]
        if missing := [key for key in wanted if key not in members]:
            raise ValueError(f"none named {', '.join(missing)}")
        # Other methods of compression expand a member beyond what it declares.
        known = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
        if any(members[key].compress_type not in known for key in wanted):
            raise ValueError("members that are compressed by another method than deflate")
        return {key: _array(file.read(members[key])) for key in wanted}


def _array(member: bytes) -> npt.NDArray[Any]:
    """Return the array in a member. Raises ValueError."""
    size = _STARTS.get(member[:8], 0)
    first = 8 + size + int.from_bytes(member[8 : 8 + size], "little")
    header = _HEADER.fullmatch(member[8 + size : first]) if size else None
    if header is None:
        raise ValueError("a member that is no array of numbers in numpy's format")
    descr, in_fortran_order, sizes = header.groups()
    dtype = np.dtype(descr.decode())
    shape = tuple(int(size) for size in sizes.split(b",") if size.strip())
    count, found = math.prod(shape), len(member) - first
    if dtype.hasobject or count * dtype.itemsize != found:
        raise ValueError(f"{found} bytes for an array {dtype} of shape {shape}")
    flat = np.frombuffer(member, dtype, count, first) if count else np.empty(0, dtype)
    return flat.reshape(shape, order="F" if in_fortran_order == b"True" else "C").copy()


def _read_errors() -> tuple[type[Exception], ...]:
    """Return the errors of zipfile and zlib for content that is no intact archive."""
    import zipfile
    import zlib

    # RuntimeError is raised of encrypted members; NotImplementedError, of unknown methods, is one.
    return zipfile.BadZipFile, zlib.error, ValueError, EOFError, RuntimeError, OSError, TypeError

"""Arrays in .npy and .npz files: items, their labels, and latents."""

import io
import lzma
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from edgevae.bundle import Bundle
from edgevae.checks import open_file
from edgevae.errors import InputError
from edgevae.files.batches import Floats, checked_rows
from edgevae.files.destination import check_space, open_output

SUFFIXES = (".npy", ".npz")
MAGIC = b"\x93NUMPY", b"PK"  # of a .npy, and of an .npz, which is a zip archive
# The errors of numpy, zipfile and the decompressors for files that are damaged or too large.
_UNREADABLE = (
    OSError,
    ValueError,
    EOFError,
    KeyError,
    SyntaxError,  # which a header of a .npy may cause, and the next one
    TokenError,
    OverflowError,
    MemoryError,
    RuntimeError,  # an encrypted member; NotImplementedError is a compression that is unknown
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
)


def is_array(path: str) -> bool:
    """Return True if a file's name ends in .npy or .npz."""
    return Path(path).suffix.lower() in SUFFIXES


def load(source: str | bytes, where: str, names: Sequence[str] = ("x", "x_hat")) -> NDArray[Any]:
    """Return the array of a .npy, or the first of `names`, or the only one, of an .npz.

    `source` is a path or a file's content, and `where` names it in errors. A .npy with a path is
    mapped into memory: its rows are read when they are used. Raises `InputError`.
    """
    if isinstance(source, str):
        with open_file(source) as opened:
            if not opened.read(8).startswith(MAGIC):
                raise InputError(f"{where}: expected a .npy or .npz of numbers, got another format")
    try:
        if isinstance(source, str):
            loaded = np.load(source, mmap_mode="r")
        else:
            loaded = np.load(io.BytesIO(source))
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded:
            keys = [key for key in names if key in loaded.files]
            keys = keys or (loaded.files if len(loaded.files) == 1 else [])
            if keys:
                array: NDArray[Any] = loaded[keys[0]]
                return array
            held = ", ".join(loaded.files) or "nothing"
    except _UNREADABLE as error:
        raise _unreadable(where, error) from error
    wanted = " or ".join(names)
    raise InputError(f"{where}: expected an array named {wanted}, or one alone, got {held}")


def _unreadable(where: str, error: BaseException) -> InputError:
    return InputError(f"{where}: expected a .npy or .npz of numbers: {error}")


def read(x: NDArray[Any], bundle: Bundle, size: int, where: str) -> tuple[int, Iterator[Floats]]:
    """Return the number of items in x, and an iterator of batches of `size`, float32.

    x has the shape (N, *x_shape), or *x_shape for one item. Raises `InputError` at once for
    another shape or dtype, and for a value that does not fit when its batch is read.
    """
    if x.ndim <= len(bundle.x_shape):  # one item, or an error
        return 1, iter([checked_rows(x, bundle, where)])
    checked_rows(x[:0], bundle, where)

    def batches() -> Iterator[Floats]:
        for first in range(0, max(len(x), 1), size):  # an empty array is one empty batch
            place = f"{where}, from row {first} on" if first else where
            yield checked_rows(x[first : first + size], bundle, place)

    return len(x), batches()


def read_labels(paths: Sequence[str], rows: int) -> NDArray[Any] | None:
    """Return the array y beside x in an .npz, a label for each of its `rows` items.

    Returns None for other inputs, and for an .npz without y. Raises `InputError`.
    """
    if len(paths) != 1 or Path(paths[0]).suffix.lower() != ".npz":
        return None
    try:
        with np.load(paths[0], allow_pickle=False) as file:
            if "y" not in file.files:
                return None
            y: NDArray[Any] = file["y"]
    except _UNREADABLE as error:
        raise _unreadable(paths[0], error) from error
    if y.shape != (rows,):
        raise InputError(f"{paths[0]}: expected y of {rows} labels as of x, got shape {y.shape}")
    return y


def write_npy(
    out: str, batches: Iterable[NDArray[Any]], shape: Sequence[int], dtype: DTypeLike
) -> None:
    """Write one array of `shape` and `dtype`, from batches of its rows. `out` may be a pipe."""
    check_space(out, shape, dtype)
    with open_output(out) as file:
        _write_array(file, batches, shape, dtype)


def write_npz(
    out: str,
    key: str,
    batches: Iterable[NDArray[Any]],
    shape: Sequence[int],
    dtype: DTypeLike,
    **more: NDArray[Any] | int,
) -> None:
    """Write an archive of the array `key`, from batches of its rows, and of `more` small arrays."""
    check_space(out, shape, dtype)
    with open_output(out) as file, zipfile.ZipFile(file, "w") as archive:
        with archive.open(f"{key}.npy", "w", force_zip64=True) as member:
            _write_array(member, batches, shape, dtype)
        for name, value in more.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(value), allow_pickle=False)


def _write_array(
    file: IO[bytes], batches: Iterable[NDArray[Any]], shape: Sequence[int], dtype: DTypeLike
) -> None:
    header = np.lib.format.header_data_from_array_1_0(np.empty(0, dtype))
    np.lib.format.write_array_header_1_0(file, {**header, "shape": tuple(shape)})
    for batch in batches:
        file.write(np.ascontiguousarray(batch, dtype).data)

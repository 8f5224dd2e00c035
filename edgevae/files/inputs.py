"""What the command line reads: images, a folder of them, strings, .npy, .npz, standard input."""

import io
import sys
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgevae import checks
from edgevae.bundle import Bundle
from edgevae.data import images, text
from edgevae.errors import InputError

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pgm", ".ppm"}
STDIN = "standard input"
ARRAY_STARTS = b"\x93NUMPY", b"PK"  # .npy, and .npz, which is a zip

Floats = NDArray[np.float32]


class Inputs(NamedTuple):
    """Data to be read: `rows` items, in batches of float32 (n, *x_shape) that are read on demand.

    form: "image" (one file), "images" (several, or a folder), "text" or "array". dtype: the one
    to answer an array in, "uint8" or "float32". names: those of the image files, without folder
    and suffix; where two would be the same, with the suffix; or the strings.
    """

    form: str
    rows: int
    dtype: str
    names: list[str]
    batches: Iterator[Floats]


def read(paths: Sequence[str], bundle: Bundle, batch: int = 256) -> Inputs:
    """One array or stream ("-"), one folder, or any number of image files, as `bundle` wants them.

    For text: any number of strings, one .txt of lines, or lines on standard input.

    Raises InputError where anything cannot be read or does not fit the bundle. To do so before
    anything is computed, it reads all items once more than they are used.
    """
    if len(paths) == 1 and paths[0] == "-":
        return from_bytes(sys.stdin.buffer.read(), bundle, batch)
    if len(paths) == 1 and Path(paths[0]).suffix in (".npy", ".npz"):
        return _from_array(_load(paths[0], paths[0]), bundle, batch, paths[0])
    if bundle.text:
        return _from_strings(*_strings(paths), bundle, batch)
    if len(paths) == 1 and Path(paths[0]).is_dir():
        files = sorted(p for p in Path(paths[0]).iterdir() if p.suffix.lower() in SUFFIXES)
        if not files:
            raise InputError(
                f"{paths[0]}: expected a folder of images, found no {', '.join(sorted(SUFFIXES))}"
            )
        return _from_files(files, bundle, batch)
    for path in paths:
        if Path(path).is_dir() or Path(path).suffix in (".npy", ".npz"):
            raise InputError(
                f"{path}: expected an image file beside others; give images, or one folder, one "
                f".npy or .npz, or - for standard input"
            )
    return _from_files([Path(path) for path in paths], bundle, batch)


def labels(paths: Sequence[str], rows: int) -> NDArray[Any] | None:
    """The array y beside x in an .npz, one label for each of so many rows; None without one."""
    if len(paths) != 1 or Path(paths[0]).suffix != ".npz":
        return None
    with np.load(paths[0], allow_pickle=False) as file:
        if "y" not in file.files:
            return None
        y: NDArray[Any] = file["y"]
    if y.shape != (rows,):
        raise InputError(f"{paths[0]}: expected y of {rows} labels as of x, got shape {y.shape}")
    return y


def from_bytes(data: bytes, bundle: Bundle, batch: int) -> Inputs:
    """All of standard input, as `read` takes it."""
    if data.startswith(ARRAY_STARTS):
        return _from_array(_load(io.BytesIO(data), STDIN), bundle, batch, STDIN)
    if bundle.text:
        return _from_strings(*_lines(data, STDIN), bundle, batch)
    if not data:
        raise InputError(f"{STDIN}: expected an image, .npy or .npz, got nothing")
    image = images.read_image(io.BytesIO(data), STDIN)
    return Inputs("image", 1, "uint8", ["stdin"], iter([_rows(image, bundle, STDIN)]))


def _strings(paths: Sequence[str]) -> tuple[list[str], list[str]]:
    """The strings of a command line, and what to call each in an error."""
    if len(paths) == 1 and Path(paths[0]).suffix == ".txt":
        with images.open_file(paths[0]) as file:
            return _lines(file.read(), paths[0])
    return list(paths), [f"input {i + 1}" for i in range(len(paths))]


def _lines(data: bytes, where: str) -> tuple[list[str], list[str]]:
    """The lines of a text in UTF-8, and what to call each in an error."""
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: expected lines of text in UTF-8, got {error}") from error
    return lines, [f"{where}, line {i + 1}" for i in range(len(lines))]


def _from_strings(items: Sequence[str], names: Sequence[str], bundle: Bundle, batch: int) -> Inputs:
    assert bundle.text is not None
    knows = bundle.text
    good = [text.fitting(item, where, knows) for item, where in zip(items, names, strict=True)]
    batches = (text.one_hot(good[i : i + batch], knows) for i in range(0, len(good), batch))
    return Inputs("text", len(good), "float32", list(items), batches)


def _from_files(files: Sequence[Path], bundle: Bundle, batch: int) -> Inputs:
    stems = [file.stem for file in files]
    names = stems if len(set(stems)) == len(stems) else [file.name for file in files]
    first = _rows(files[0], bundle, str(files[0]))
    if len(files) == 1:  # which may be a pipe, that can be read but once
        return Inputs("image", 1, "uint8", names, iter([first]))
    for file in files[1:]:
        _rows(file, bundle, str(file))
    batches = (
        np.concatenate([_rows(file, bundle, str(file)) for file in files[i : i + batch]])
        for i in range(0, len(files), batch)
    )
    return Inputs("images", len(files), "uint8", names, batches)


def _from_array(x: NDArray[Any], bundle: Bundle, batch: int, where: str) -> Inputs:
    dtype = "uint8" if x.dtype == np.uint8 else "float32"
    form = "text" if bundle.text else "array"
    if x.ndim <= len(bundle.x_shape):  # one item, or an error
        return Inputs(form, 1, dtype, [], iter([_rows(x, bundle, where)]))

    def batches() -> Iterator[Floats]:
        for first in range(0, max(len(x), 1), batch):  # an empty array has a shape to check too
            place = f"{where}, from row {first} on" if first else where
            yield _rows(x[first : first + batch], bundle, place)

    for _ in batches():
        pass
    return Inputs(form, len(x), dtype, [], batches())


def _rows(x: Any, bundle: Bundle, where: str) -> Floats:
    try:
        return images.given(x, bundle.kind, bundle.x_shape, bundle.x_range, bundle.features).rows
    except InputError as error:
        raise InputError(str(error) if where in str(error) else f"{where}: {error}") from error


def latents(path: str, bundle: Bundle) -> Floats:
    """Latents of a .npy or .npz ("mu", as `edgevae encode` writes it, or "z"): float32 (N, ...).

    Their shape but for N is for the caller to check. Raises InputError.
    """
    where = STDIN if path == "-" else path
    file = io.BytesIO(sys.stdin.buffer.read()) if path == "-" else path
    rows = checks.latents(_load(file, where, ("z", "mu")))
    return rows[None] if rows.ndim == len(bundle.latent_shape) else rows


def _load(file: Any, where: str, names: Sequence[str] = ("x", "x_hat")) -> NDArray[Any]:
    """The array of a .npy, read as it is used; of a .npz one of these names, or its only."""
    if isinstance(file, str):
        with images.open_file(file) as opened:
            if not opened.read(8).startswith(ARRAY_STARTS):
                raise InputError(f"{where}: expected a .npy or .npz of numbers, got another format")
    try:
        loaded = np.load(file, mmap_mode="r" if isinstance(file, str) else None)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded:
            keys = [key for key in names if key in loaded.files]
            keys = keys or (loaded.files if len(loaded.files) == 1 else [])
            if keys:
                array: NDArray[Any] = loaded[keys[0]]
                return array
            got = ", ".join(loaded.files) or "nothing"
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{where}: expected a .npy or .npz of numbers: {error}") from error
    wanted = " or ".join(names)
    raise InputError(f"{where}: expected an array named {wanted}, or one alone, got {got}")

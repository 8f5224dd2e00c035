"""What the command line reads: image files, a folder of them, .npy, .npz, standard input."""

import io
import os
import sys
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgevae import images
from edgevae.bundle import Bundle
from edgevae.errors import InputError

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pgm", ".ppm"}
STDIN = "standard input"

Floats = NDArray[np.float32]


class Inputs(NamedTuple):
    """Data to be read: `rows` items, in batches of float32 (n, *x_shape) that are read on demand.

    form: "image" (one file), "images" (several, or a folder) or "array". dtype: the one to answer
    an array in, "uint8" or "float32". names: those of the image files, without folder and suffix;
    where two would be the same, with the suffix.
    """

    form: str
    rows: int
    dtype: str
    names: list[str]
    batches: Iterator[Floats]


def read(paths: Sequence[str], bundle: Bundle, batch: int = 256) -> Inputs:
    """One array or stream ("-"), one folder, or any number of image files, as `bundle` wants them.

    Raises InputError where a path cannot be read, before anything is computed, or, further on,
    where an item does not fit the bundle.
    """
    if len(paths) == 1 and paths[0] == "-":
        return _from_stream(sys.stdin.buffer.read(), bundle, batch)
    if len(paths) == 1 and Path(paths[0]).suffix in (".npy", ".npz"):
        return _from_array(_load(paths[0], paths[0]), bundle, batch, paths[0])
    if len(paths) == 1 and Path(paths[0]).is_dir():
        files = sorted(p for p in Path(paths[0]).iterdir() if p.suffix.lower() in SUFFIXES)
        if not files:
            raise InputError(
                f"{paths[0]}: expected a folder of images, found no {', '.join(sorted(SUFFIXES))}"
            )
        return _from_files(files, bundle, batch)
    for path in paths:
        if not os.access(path, os.R_OK) or Path(path).is_dir() or Path(path).suffix == ".npy":
            raise InputError(
                f"{path}: expected an image file that can be read; give images, or one folder, "
                f"one .npy or .npz, or - for standard input"
            )
    return _from_files([Path(path) for path in paths], bundle, batch)


def _from_stream(data: bytes, bundle: Bundle, batch: int) -> Inputs:
    if data.startswith((b"\x93NUMPY", b"PK")):
        return _from_array(_load(io.BytesIO(data), STDIN), bundle, batch, STDIN)
    if not data:
        raise InputError(f"{STDIN}: expected an image, .npy or .npz, got nothing")
    from PIL import Image, UnidentifiedImageError

    try:
        image = Image.open(io.BytesIO(data))
        image.load()
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise InputError(f"{STDIN}: expected an image, .npy or .npz: {error}") from error
    return Inputs("image", 1, "uint8", ["stdin"], iter([_rows(image, bundle, STDIN)]))


def _from_files(files: Sequence[Path], bundle: Bundle, batch: int) -> Inputs:
    stems = [file.stem for file in files]
    names = stems if len(set(stems)) == len(stems) else [file.name for file in files]
    batches = (
        np.concatenate([_rows(str(file), bundle, str(file)) for file in files[i : i + batch]])
        for i in range(0, len(files), batch)
    )
    return Inputs("image" if len(files) == 1 else "images", len(files), "uint8", names, batches)


def _from_array(x: NDArray[Any], bundle: Bundle, batch: int, where: str) -> Inputs:
    dims = len(bundle.x_shape)
    if x.ndim not in (dims, dims + 1):
        shape = ", ".join(map(str, bundle.x_shape))
        raise InputError(f"{where}: expected an array of shape (N, {shape}), got {x.shape}")
    if x.ndim == dims:
        x = x[None]
    dtype = "uint8" if x.dtype == np.uint8 else "float32"
    batches = (_rows(x[i : i + batch], bundle, where) for i in range(0, len(x), batch))
    return Inputs("array", len(x), dtype, [], batches)


def _rows(x: Any, bundle: Bundle, where: str) -> Floats:
    try:
        return images.given(x, bundle.kind, bundle.x_shape, bundle.x_range).rows
    except InputError as error:
        raise InputError(str(error) if where in str(error) else f"{where}: {error}") from error


def _load(file: Any, where: str) -> NDArray[Any]:
    """The array of a .npy, read as it is used; of a .npz the one named x or x_hat, or its only."""
    try:
        loaded = np.load(file, mmap_mode="r" if isinstance(file, str) else None)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded:
            keys = [key for key in ("x", "x_hat") if key in loaded.files]
            keys = keys or (loaded.files if len(loaded.files) == 1 else [])
            if keys:
                array: NDArray[Any] = loaded[keys[0]]
                return array
            got = ", ".join(loaded.files) or "nothing"
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{where}: expected a .npy or .npz of numbers: {error}") from error
    raise InputError(f"{where}: expected an array named x or x_hat, or one alone, got {got}")

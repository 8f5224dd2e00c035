"""Images as people have them (paths, PIL, uint8) to float32 rows as a model has them, and back.

What goes in as one type comes out as the same: `given` keeps the way back beside the rows.
"""

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from edgevae.data.features import Features, imputed
from edgevae.errors import InputError
from edgevae.packing import pack

if TYPE_CHECKING:
    from PIL.Image import Image

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]
Range = tuple[float, float]

# How many times the range's width a float may lie outside of it. Noise of sigma 0.5 stays well
# inside; values of 0 to 255 for a model of [0, 1] do not.
_SLACK = 4


def open_image(path: str | os.PathLike[str]) -> "Image":
    """The image in a file, read whole and turned upright as its Exif data say.

    Raises `InputError` where there is none.
    """
    with open_file(path) as file:
        return read_image(file, os.fspath(path))


def open_file(path: str | os.PathLike[str]) -> IO[bytes]:
    """A file to be read. Raises `InputError` where it cannot be."""
    try:
        return open(path, "rb")
    except OSError as error:
        raise InputError(
            f"{os.fspath(path)}: expected a file that can be read: {error.strerror}"
        ) from error


def read_image(file: IO[bytes], where: str) -> "Image":
    """`open_image` of a file that is open; `where` names it in errors."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(file) as image:
            image.load()
            return ImageOps.exif_transpose(image)
    except UnidentifiedImageError as error:
        raise InputError(f"{where}: expected an image file, of a format Pillow reads") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"{where}: expected a whole image file, got {error}") from error


def from_pil(image: "Image", channels: int) -> Bytes:
    """A PIL image as uint8 (H, W, C): grey for one channel, RGB for three.

    An alpha channel is dropped, as in training. 16-bit grey is scaled, 65535 to 255; images of
    32-bit numbers, whose white is unknown, raise `InputError`.
    """
    from PIL import Image

    if image.mode in ("I", "F"):
        raise InputError(
            f"x: expected an image of 8 or 16 bits, got mode {image.mode!r} (32 bits); scale it "
            f"to 0 .. 255 and convert it to 'L', or give a float array"
        )
    if image.mode.startswith("I;16"):  # which Pillow would clip at 255
        image = Image.fromarray(((np.asarray(image) + np.uint32(128)) // 257).astype(np.uint8))
    pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    return pixels.reshape(*pixels.shape[:2], channels)


def to_pil(pixels: Bytes) -> "Image":
    """uint8 (H, W, 1 or 3) as a PIL image of mode L or RGB."""
    from PIL import Image

    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def to_uint8(x: Floats, x_range: Range, out: Bytes | None = None) -> Bytes:
    """Float (N,C,H,W) in `x_range` to uint8 (N,H,W,C), rounded half up, clamped."""
    low, high = x_range
    if (low, high) != (0.0, 1.0):
        x = (x - np.float32(low)) * np.float32(1 / (high - low))
    packed: Bytes = pack(x, out)
    return packed


@dataclass(frozen=True)
class Given:
    """What a caller gave: its rows as float32 (N, *x_shape), and the way back.

    `restore` turns any number of such rows into a batch of the caller's type; `single` tells
    that the caller gave one item, without a batch axis.
    """

    rows: Floats
    restore: Callable[[Floats], Any]
    single: bool = False

    def back(self, x_hat: Floats) -> Any:
        """One result for each row, batched as what was given."""
        results = self.restore(x_hat)
        return results[0] if self.single else results

    def several(self, x_hat: Floats) -> Any:
        """n results for each row, from (n, N, *x_shape): an array (N, n, ...), or lists of them.

        A single item has n results, without N.
        """
        results = [self.back(one_each) for one_each in x_hat]
        if isinstance(results[0], np.ndarray):
            return np.stack(results, axis=0 if self.single else 1)
        return results if self.single else [list(row) for row in zip(*results, strict=True)]


def given(
    x: Any,
    kind: str,
    x_shape: tuple[int, ...],
    x_range: Range | None,
    features: Features | None = None,
) -> Given:
    """Reads x, for a model of items of x_shape within x_range.

    x is a float array (N, *x_shape) or (*x_shape); for images also a uint8 array (N,H,W,C) or
    (H,W,C), a PIL image, a path, or a list of any of them, which comes back as a list. A PIL
    image or a path comes back as a PIL image. NaN is replaced where `features` say by what.
    Raises `InputError`.
    """
    if isinstance(x, (list, tuple)):
        return _from_list(x, kind, x_shape, x_range, features)
    if kind == "image" and x_range is not None:
        if isinstance(x, (str, os.PathLike)):
            x = open_image(x)
        if hasattr(x, "convert"):
            return _from_image(x, x_shape, x_range)
        if isinstance(x, np.ndarray) and x.dtype == np.uint8:
            return _from_pixels(x, x_shape, x_range)
    if isinstance(x, np.ndarray) and x.dtype.kind == "f":
        return _from_floats(x, x_shape, x_range, features)
    got = f"an array of {x.dtype}" if isinstance(x, np.ndarray) else f"a {type(x).__name__}"
    also = ", one of uint8, a PIL image, a path, or a list of these" if kind == "image" else ""
    raise InputError(
        f"x: expected an array of float32{also}, got {got}; numpy.asarray(x, 'float32') converts"
    )


def _from_list(
    items: Sequence[Any],
    kind: str,
    x_shape: tuple[int, ...],
    x_range: Range | None,
    features: Features | None,
) -> Given:
    parts = []
    for i, item in enumerate(items):
        try:
            part = given(item, kind, x_shape, x_range, features)
        except InputError as error:
            raise InputError(f"item {i} of the list: {error}") from error
        if not part.single:
            raise InputError(f"item {i} of the list: expected a single item, got a batch")
        parts.append(part)

    def restore(x_hat: Floats) -> list[Any]:
        return [part.back(x_hat[i : i + 1]) for i, part in enumerate(parts)]

    rows = [part.rows for part in parts]
    return Given(np.concatenate(rows) if rows else np.empty((0, *x_shape), np.float32), restore)


def _from_image(image: "Image", x_shape: tuple[int, ...], x_range: Range) -> Given:
    channels, height, width = x_shape
    if image.size != (width, height):
        raise InputError(
            f"x: expected an image of {width} x {height} pixels, got {image.width} x "
            f"{image.height}; image.resize(({width}, {height})) makes it fit"
        )

    def restore(x_hat: Floats) -> "list[Image]":
        return [to_pil(pixels) for pixels in to_uint8(x_hat, x_range)]

    return Given(_to_floats(from_pil(image, channels)[None], x_range), restore, single=True)


def _from_pixels(x: Bytes, x_shape: tuple[int, ...], x_range: Range) -> Given:
    channels, height, width = x_shape
    batch, single = _batched(x, (height, width, channels))
    return Given(_to_floats(batch, x_range), lambda x_hat: to_uint8(x_hat, x_range), single)


def _from_floats(
    x: npt.NDArray[Any],
    x_shape: tuple[int, ...],
    x_range: Range | None,
    features: Features | None,
) -> Given:
    batch, single = _batched(x, x_shape)
    rows = imputed(np.ascontiguousarray(batch, np.float32), features)
    _check_values(rows, x_range)
    return Given(rows, lambda x_hat: x_hat, single)


def _to_floats(pixels: Bytes, x_range: Range) -> Floats:
    """uint8 (N,H,W,C) to float32 (N,C,H,W) in `x_range`."""
    low, high = x_range
    rows = np.empty((len(pixels), pixels.shape[3], *pixels.shape[1:3]), np.float32)
    np.divide(pixels.transpose(0, 3, 1, 2), np.float32(255), out=rows)
    if x_range != (0.0, 1.0):
        rows *= np.float32(high - low)
        rows += np.float32(low)
    return rows


def _batched(x: npt.NDArray[Any], item: tuple[int, ...]) -> tuple[npt.NDArray[Any], bool]:
    """x with a batch axis, and whether it had none."""
    if x.shape == item:
        return x[None], True
    if x.ndim == len(item) + 1 and x.shape[1:] == item:
        return x, False
    dims = ", ".join(map(str, item))
    raise InputError(f"x: expected {x.dtype} of shape (N, {dims}) or ({dims}), got {x.shape}")


def _check_values(rows: Floats, x_range: Range | None) -> None:
    if not rows.size:
        return
    # A minimum and a maximum meet every NaN and infinity, and need no mask of the rows' size.
    least, most = float(rows.min()), float(rows.max())
    if not (math.isfinite(least) and math.isfinite(most)):
        bad = ~np.isfinite(rows.reshape(len(rows), -1)).all(axis=1)
        raise InputError(
            f"x: expected finite numbers, got NaN or infinity in row {bad.argmax()} "
            f"({bad.sum()} of {len(rows)} rows); remove them or replace them"
        )
    if x_range is None:
        return
    low, high = x_range
    slack = _SLACK * (high - low)
    if least < low - slack or most > high + slack:
        raise InputError(
            f"x: expected values of about {low:g} to {high:g}, got {least:g} to {most:g}; scale "
            f"them as in training (pixels of 0 to 255: pass uint8, or divide by 255)"
        )

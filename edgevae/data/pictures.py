"""Picture files and PIL images as 8-bit pixels, and back."""

import os
from typing import IO, TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from edgevae.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

Bytes = npt.NDArray[np.uint8]

# The files of a folder that are read as pictures.
IMAGE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pgm", ".ppm"}
)


def open_image(path: str | os.PathLike[str]) -> "Image":
    """Return the image in a file, loaded completely and turned upright as its Exif data say.

    Raises `InputError` if the file cannot be read or holds no image.
    """
    with open_file(path) as file:
        return read_image(file, os.fspath(path))


def open_file(path: str | os.PathLike[str]) -> IO[bytes]:
    """Return a file that is open for reading. Raises `InputError` if it cannot be opened."""
    try:
        return open(path, "rb")
    except OSError as error:
        raise InputError(
            f"{os.fspath(path)}: expected a file that can be read: {error.strerror}"
        ) from error


def read_image(file: IO[bytes], where: str) -> "Image":
    """Return the image in an open file, as `open_image` does; `where` names it in errors."""
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
    """Return a PIL image as uint8 (H, W, C): grey for one channel, RGB for three.

    An alpha channel is dropped, as in training. 16-bit grey is scaled so that 65535 becomes 255.
    Raises `InputError` for images of 32-bit numbers, whose white is unknown.
    """
    from PIL import Image

    if image.mode in ("I", "F"):
        raise InputError(
            f"x: expected an image of 8 or 16 bits, got mode {image.mode!r} (32 bits); scale it "
            f"to 0 .. 255 and convert it to 'L', or give a float array"
        )
    if image.mode.startswith("I;16"):  # Pillow would clip it at 255
        image = Image.fromarray(((np.asarray(image) + np.uint32(128)) // 257).astype(np.uint8))
    pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    return pixels.reshape(*pixels.shape[:2], channels)


def to_pil(pixels: Bytes) -> "Image":
    """Return uint8 (H, W, 1 or 3) as a PIL image of mode L or RGB."""
    from PIL import Image

    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)

"""Images, grey or RGB, as paths, PIL images, uint8 arrays or float arrays."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from edgevae import checks
from edgevae.data.items import Floats, Items, Range, batched
from edgevae.data.kind import Kind, check_dtype
from edgevae.errors import InputError
from edgevae.json_fields import Fields
from edgevae.packing import pack

if TYPE_CHECKING:
    import PIL.Image

Bytes = npt.NDArray[np.uint8]

# The suffixes of the files in a folder that are read as images.
IMAGE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pgm", ".ppm"}
)


@dataclass(frozen=True)
class Image(Kind):
    """Images of 1 or 3 channels: float32 (C, H, W) in x_range, or uint8 (H, W, C)."""

    name: ClassVar[str] = "image"
    drawable: ClassVar[bool] = True
    accepts: ClassVar[str] = (
        "an array of float32, one of uint8, a PIL image, a path, or a list of these"
    )

    x_range: Range = (0.0, 1.0)

    @property
    def pixel_shape(self) -> tuple[int, int, int]:
        """The shape (H, W, C) of one image as 8-bit pixels."""
        channels, height, width = self.x_shape
        return height, width, channels

    @property
    def row_shapes(self) -> tuple[tuple[int, ...], ...]:
        return (self.x_shape,)

    def read(self, x: Any) -> Items:
        """Return a caller's images as float32 rows (N, C, H, W) in x_range, checked.

        x is a float array (N, C, H, W) or (C, H, W), a uint8 array (N, H, W, C) or (H, W, C), a
        PIL image or the path of one, which give a PIL image back, or a list of any of these, which
        gives a list back. Raises `InputError` as `Kind.read` does, and for a file that is no image
        or has another size.
        """
        if isinstance(x, np.ndarray):
            if x.dtype != np.uint8:
                return super().read(x)
            batch, single = batched(x, self.pixel_shape)
            return Items(self.from_pixels(batch), self.pixels, single)
        if isinstance(x, (str, os.PathLike)):
            x = open_image(x)
        if hasattr(x, "convert"):
            return self._read_pil(x)
        return super().read(x)

    def _read_pil(self, image: "PIL.Image.Image") -> Items:
        height, width, channels = self.pixel_shape
        if image.size != (width, height):
            raise InputError(
                f"x: expected an image of {width} x {height} pixels, got {image.width} x "
                f"{image.height}; image.resize(({width}, {height})) makes it fit"
            )

        def restore(x_hat: Floats) -> "list[PIL.Image.Image]":
            return [to_pil(pixels) for pixels in self.pixels(x_hat)]

        return Items(self.from_pixels(from_pil(image, channels)[None]), restore, single=True)

    def from_pixels(self, pixels: Bytes) -> Floats:
        """Return uint8 (N, H, W, C) as float32 (N, C, H, W), with 0 .. 255 mapped to x_range."""
        low, high = self.x_range
        rows = np.empty((len(pixels), pixels.shape[3], *pixels.shape[1:3]), np.float32)
        np.divide(pixels.transpose(0, 3, 1, 2), np.float32(255), out=rows)
        if self.x_range != (0.0, 1.0):
            rows *= np.float32(high - low)
            rows += np.float32(low)
        return rows

    def pixels(self, x: Floats, out: Bytes | None = None) -> Bytes:
        """Return float32 (N, C, H, W) in x_range as uint8 (N, H, W, C), as `to_uint8` does."""
        return to_uint8(x, self.x_range, out)

    def allocate(
        self,
        n: int,
        dtype: str = "float32",
        out: npt.NDArray[Any] | None = None,
        *,
        owner: str = "the model",
    ) -> npt.NDArray[Any]:
        check_dtype(dtype)
        shape = self.pixel_shape if dtype == "uint8" else self.x_shape
        return checks.output_array((n, *shape), dtype, out)

    def finish(self, x_hat: Floats, out: npt.NDArray[Any]) -> None:
        if out.dtype == np.uint8:
            self.pixels(x_hat, out)
        else:
            super().finish(x_hat, out)

    def default_output(self, stem: str, image_suffix: str) -> str:
        return stem + image_suffix

    @classmethod
    def from_json(cls, fields: Fields) -> Self:
        x = fields.fields("x")
        shape, x_range = x.shape("shape"), x.span("range")
        if len(shape) != 3 or shape[0] not in (1, 3):
            raise x.bad("shape", "[1 or 3, height, width] for images")
        if x_range is None:
            raise x.bad("range", "[low, high] for images")
        return cls(shape, x_range)


def to_uint8(x: Floats, x_range: Range, out: Bytes | None = None) -> Bytes:
    """Return float (N, C, H, W) in `x_range` as uint8 (N, H, W, C), rounded half up and clamped."""
    low, high = x_range
    if (low, high) != (0.0, 1.0):
        x = (x - np.float32(low)) * np.float32(1 / (high - low))
    packed: Bytes = pack(x, out)
    return packed


def open_image(path: str | os.PathLike[str]) -> "PIL.Image.Image":
    """Return the image in a file, loaded completely and turned upright as its Exif data say.

    Raises `InputError` if the file cannot be read or holds no image.
    """
    with checks.open_file(path) as file:
        return read_image(file, os.fspath(path))


def read_image(file: IO[bytes], where: str) -> "PIL.Image.Image":
    """Return the image in an open file, as `open_image` does; `where` names it in errors."""
    from PIL import ImageOps

    with _opened(file, where) as image:
        image.load()
        return ImageOps.exif_transpose(image)


def read_image_size(file: IO[bytes], where: str) -> tuple[int, int]:
    """Return the width and height in an image file's header, before Exif data turn the image.

    Raises `InputError` if the header is not that of an image.
    """
    with _opened(file, where) as image:
        return image.size


@contextmanager
def _opened(file: IO[bytes], where: str) -> "Iterator[PIL.Image.Image]":
    """Open an image whose pixels are not read yet; Pillow's errors become `InputError`."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(file) as image:
            yield image
    except UnidentifiedImageError as error:
        raise InputError(f"{where}: expected an image file, of a format Pillow reads") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"{where}: expected a complete image file, got {error}") from error


def from_pil(image: "PIL.Image.Image", channels: int) -> Bytes:
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


def to_pil(pixels: Bytes) -> "PIL.Image.Image":
    """Return uint8 (H, W, 1 or 3) as a PIL image of mode L or RGB."""
    from PIL import Image

    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)

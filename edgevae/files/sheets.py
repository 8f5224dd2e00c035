"""Contact sheets: all items as tiles of one picture, a PNG, JPEG or WebP file."""

import io
from collections.abc import Iterable, Sequence
from math import ceil, isqrt, sqrt
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgevae.data import Range, to_pil, to_uint8
from edgevae.errors import InputError
from edgevae.files.destination import open_output

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
QUALITY = {"JPEG": 95, "WEBP": 90}
LARGEST_SIDE = 16_383  # pixels of a sheet: WebP's limit, and memory would be unbounded

# The automatic scale, in pixels: a sheet of about SHEET_SIDE with tiles of SMALLEST_TILE to
# LARGEST_TILE, but no sheet enlarged to more than LARGEST_ENLARGED.
SHEET_SIDE, LARGEST_ENLARGED = 1280, 4096
SMALLEST_TILE, LARGEST_TILE = 64, 256

PAPER, INK = 224, 32  # grey levels between the tiles, and of the labels

Pixels = NDArray[np.uint8]
EXIF_DESCRIPTION = 0x010E


class Layout(NamedTuple):
    """The geometry of a sheet: lines and columns of tiles, in pixels from the upper left corner.

    Each of the `item`'s pixels, (C, H, W), is `scale` x `scale` pixels. There are `gap` pixels
    around every tile, and a `margin` on the left for labels.
    """

    item: tuple[int, int, int]
    lines: int
    columns: int
    scale: int = 1
    gap: int = 0
    margin: int = 0

    @property
    def cell(self) -> tuple[int, int]:
        """The height and the width of a tile and its gap."""
        _, height, width = self.item
        return height * self.scale + self.gap, width * self.scale + self.gap

    @property
    def size(self) -> tuple[int, int]:
        """The height and the width of the sheet."""
        height, width = self.cell
        return self.lines * height + self.gap, self.margin + self.columns * width + self.gap


def layout(
    rows: int,
    item: Sequence[int],
    columns: int | None = None,
    scale: int | None = None,
    labels: Sequence[str] = (),
) -> Layout:
    """Return the layout of a sheet of `rows` tiles of `item`, (C, H, W).

    `columns` defaults to a number that makes the sheet nearly square. With `scale` None, a single
    tile stays as it is, and tiles of a sheet are enlarged by `automatic_scale` and stand apart;
    with scale 1 the sheet holds the tiles' pixels and nothing else: no gaps and no labels. Raises
    `InputError` if the sheet would be empty, or larger than `LARGEST_SIDE`.
    """
    if rows < 1:
        raise InputError("a picture needs at least 1 row, got 0: write .npy for an empty result")
    channels, height, width = item
    columns = columns or near_square(rows, height, width)
    plain = Layout((channels, height, width), ceil(rows / columns), columns)
    if scale == 1 or (scale is None and rows == 1):
        return _checked(plain, rows)
    factor = scale or automatic_scale(height, width, plain.lines, columns)
    gap = 0 if rows == 1 else max(4, factor * min(height, width) // 32)
    margin = ceil(max(map(_font(factor * height).getlength, labels))) + 2 * gap if labels else 0
    return _checked(plain._replace(scale=factor, gap=gap, margin=margin), rows)


def near_square(rows: int, height: int, width: int) -> int:
    """Return the columns that make a sheet of `rows` tiles of height x width nearly square."""
    return max(1, min(rows, ceil(sqrt(rows * height / width))))


def automatic_scale(height: int, width: int, lines: int = 1, columns: int = 1) -> int:
    """Return the integer factor that enlarges tiles of height x width to a visible size."""
    side = max(lines * height, columns * width)
    visible = min(ceil(SMALLEST_TILE / min(height, width)), LARGEST_ENLARGED // side)
    largest = LARGEST_TILE // isqrt(height * width)
    return max(1, min(largest, max(SHEET_SIDE // side, visible)))


def _checked(sheet: Layout, rows: int) -> Layout:
    tall, wide = sheet.size
    if max(tall, wide) > LARGEST_SIDE:
        raise InputError(
            f"a sheet has at most {LARGEST_SIDE} pixels a side, {rows} tiles would make it "
            f"{wide} x {tall}: write .npy or a folder (a name that ends in /) instead"
        )
    return sheet


def write_sheet(
    out: str,
    batches: Iterable[NDArray[Any]],
    sheet: Layout,
    x_range: Range,
    *,
    labels: Sequence[str] = (),
    note: str = "",
) -> None:
    """Write a sheet in the format that the suffix of `out` names; PNG to standard output.

    Tile i stands in line i // columns, column i % columns. `batches` are float32 (n, C, H, W) in
    `x_range`; `labels` stand to the left of the lines, if the layout has a margin. The picture
    carries `note`: in PNG as the text "edgevae", in JPEG as a comment, in WebP as Exif's
    ImageDescription.
    """
    channels = sheet.item[0]
    with open_output(out) as file:
        # A sheet without gaps ends in black, as if tiles were left out.
        pixels = np.full((*sheet.size, channels), PAPER if sheet.gap else 0, np.uint8)
        tiles = _tiles(pixels, sheet)
        done = 0
        for batch in batches:
            while len(batch):
                line, column = divmod(done, sheet.columns)
                n = min(len(batch), sheet.columns - column)  # to the end of this line of tiles
                tiles[line, column : column + n] = enlarged(
                    to_uint8(batch[:n], x_range), sheet.scale
                )
                batch, done = batch[n:], done + n
        image = to_pil(pixels)
        if sheet.margin:
            _draw_labels(image, sheet, labels)
        save_picture(file, image, FORMATS.get(Path(out).suffix.lower(), "PNG"), note)


def _tiles(pixels: Pixels, sheet: Layout) -> Pixels:
    """Return the sheet's pixels as a view (lines, columns, height, width, C) without its gaps."""
    tall, wide = sheet.cell
    cells = pixels[: sheet.lines * tall, sheet.margin : sheet.margin + sheet.columns * wide]
    apart = cells.reshape(sheet.lines, tall, sheet.columns, wide, -1)  # splits axes: a view
    return apart[:, sheet.gap :, :, sheet.gap :].swapaxes(1, 2)


def enlarged(pixels: Pixels, scale: int) -> Pixels:
    """Return pictures (n, H, W, C) with each pixel repeated, (n, scale H, scale W, C)."""
    return pixels if scale == 1 else pixels.repeat(scale, axis=1).repeat(scale, axis=2)


def _draw_labels(image: "Image", sheet: Layout, labels: Sequence[str]) -> None:
    from PIL import ImageDraw

    tall, _ = sheet.cell
    draw = ImageDraw.Draw(image)
    ink = INK if image.mode == "L" else (INK, INK, INK)
    for line, label in enumerate(labels):
        middle = sheet.gap + line * tall + (tall - sheet.gap) / 2
        place = (sheet.margin - sheet.gap, middle)
        draw.text(place, label, fill=ink, font=_font(tall - sheet.gap), anchor="rm")


def _font(tile_height: int) -> Any:
    """Return Pillow's own font, in a size that suits a tile of so many pixels."""
    from PIL import ImageFont

    return ImageFont.load_default(size=min(24, max(12, tile_height // 7)))


def save_picture(file: IO[bytes], image: "Image", form: str = "PNG", note: str = "") -> None:
    """Write a picture with its note in one of `FORMATS` to an open file."""
    from PIL.Image import Exif
    from PIL.PngImagePlugin import PngInfo

    options: dict[str, Any] = {"quality": QUALITY[form]} if form in QUALITY else {}
    if form == "PNG":
        options["pnginfo"] = PngInfo()
        if note:
            options["pnginfo"].add_text("edgevae", note)
    elif form == "JPEG":
        options |= {"subsampling": 0, "comment": note}
    elif note:
        options["exif"] = Exif()
        options["exif"][EXIF_DESCRIPTION] = note
    buffer = io.BytesIO()  # Pillow seeks, which a pipe cannot
    image.save(buffer, form, **options)
    file.write(buffer.getbuffer())

"""Where results go: a PNG sheet, a folder of PNGs, .npy, .npz, .gif, .txt, standard output.

Every writer takes an iterator of batches and opens its destination before it pulls the first one:
a place that cannot be written costs no work. A file appears under its name when it is whole, never
half-written. Arrays and folders hold one batch at a time in memory, sheets and gifs hold uint8.
"""

import io
import os
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import ceil, prod, sqrt
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from edgevae import atomic
from edgevae.bundle import Bundle
from edgevae.data import to_pil, to_uint8
from edgevae.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMS = {".png": "sheet", ".gif": "gif", ".npy": "npy", ".npz": "npz", ".txt": "text"}
LARGEST_SIDE = 16_384  # of a sheet, in pixels: viewers refuse more, and memory would be unbounded
FRAME_MS = 60

Array = NDArray[Any]
Range = tuple[float, float]


def form_of(out: str, stream: str = "npy") -> str:
    """What `out` asks for: "sheet", "gif", "npy", "npz", "text" or "folder"; `stream` for "-".

    Raises ValueError where its name says nothing.
    """
    if out == "-":
        return stream
    if out.endswith(("/", os.sep)) or os.path.isdir(out):
        return "folder"
    try:
        return FORMS[Path(out).suffix.lower()]
    except KeyError:
        raise ValueError(
            f"expected a name that ends in {', '.join(FORMS)}, or in / for a folder, got {out!r}"
        ) from None


def save(
    out: str,
    form: str,
    batches: Iterable[Any],
    rows: int,
    bundle: Bundle,
    *,
    key: str = "x_hat",
    dtype: str = "float32",
    names: Iterable[str] = (),
    columns: int | None = None,
    note: str = "",
    more: Mapping[str, Array | int] | None = None,
) -> None:
    """Writes `rows` rows of x or x_hat, float32 (n, *x_shape) a batch, to `out` in `form`.

    A batch of text may be a list of str as well.

    key: the array's name in .npz, where `more` stands beside it. dtype: of arrays; "uint8" makes
    them (N,H,W,C). names: of the files in a folder. columns, note: of a sheet.
    """
    x_range = bundle.x_range or (0.0, 1.0)
    if form == "text":
        write_lines(out, batches, bundle)
    elif form == "sheet":
        write_sheet(out, batches, rows, bundle.x_shape, x_range, columns=columns, note=note)
    elif form == "gif":
        write_gif(out, batches, x_range)
    elif form == "folder":
        write_folder(out, batches, names, x_range, note=note)
    else:
        shape = bundle.x_shape
        if dtype == "uint8":
            batches, shape = (to_uint8(b, x_range) for b in batches), (*shape[1:], shape[0])
        if form == "npy":
            write_npy(out, batches, (rows, *shape), dtype)
        else:
            write_npz(out, key, batches, (rows, *shape), dtype, **(more or {}))


@contextmanager
def staged(out: str, *, readable: bool = False) -> Iterator[IO[bytes]]:
    """A file of bytes that becomes `out` when the block ends well and vanishes when it does not.

    "-" is standard output, a terminal for what is `readable` alone; a pipe or a device is written
    as it stands, never replaced. Raises InputError where `out` cannot be made.
    """
    if out == "-":
        if sys.stdout.isatty() and not readable:
            raise InputError("refused to write binary data to a terminal: redirect it, > FILE")
        try:
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise _unwritable("standard output", error) from error
        return
    try:
        with atomic.create(out) as file:
            yield file
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _unwritable(out, error) from error


def write_lines(out: str, batches: Iterable[Any], bundle: Bundle) -> None:
    """A line in UTF-8 for each string, or row of float32 (n, length, symbols), of the batches."""
    assert bundle.text is not None
    with staged(out, readable=True) as file:
        for batch in batches:
            lines = batch if isinstance(batch, list) else bundle.text.strings(batch)
            file.write("".join(f"{line}\n" for line in lines).encode())


def write_npy(out: str, batches: Iterable[Array], shape: Sequence[int], dtype: DTypeLike) -> None:
    """One array of `shape` and `dtype`, from batches of its rows. Works on a pipe too."""
    _check_space(out, shape, dtype)
    with staged(out) as file:
        _stream(file, batches, shape, dtype)


def write_npz(
    out: str,
    key: str,
    batches: Iterable[Array],
    shape: Sequence[int],
    dtype: DTypeLike,
    **more: Array | int,
) -> None:
    """An archive of the array `key`, streamed as by `write_npy`, and of `more` that is small."""
    _check_space(out, shape, dtype)
    with staged(out) as file, zipfile.ZipFile(file, "w") as archive:
        with archive.open(f"{key}.npy", "w", force_zip64=True) as member:
            _stream(member, batches, shape, dtype)
        for name, value in more.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(value), allow_pickle=False)


def write_sheet(
    out: str,
    batches: Iterable[Array],
    rows: int,
    item: Sequence[int],
    x_range: Range,
    *,
    columns: int | None = None,
    note: str = "",
) -> None:
    """A contact sheet: tile i stands at row i // columns, column i % columns, pixel for pixel.

    batches: float32 (n,C,H,W) in `x_range`, `rows` in all; `item` is (C,H,W). `columns` defaults
    to what makes the sheet nearly square; tiles that are left over are black. `note` is kept as
    the PNG's text "edgevae". Raises InputError where the sheet would be empty or too large.
    """
    channels, height, width = item
    columns = columns or near_square(rows, height, width)
    check_sheet(rows, item, columns)
    lines = ceil(rows / columns)
    sheet = np.zeros((lines * height, columns * width, channels), np.uint8)
    tiles = sheet.reshape(lines, height, columns, width, channels).swapaxes(1, 2)
    with staged(out) as file:
        done = 0
        for batch in batches:
            while len(batch):
                line, column = divmod(done, columns)
                n = min(len(batch), columns - column)  # to the end of this line of tiles
                to_uint8(batch[:n], x_range, out=tiles[line, column : column + n])
                batch, done = batch[n:], done + n
        _save_png(file, sheet, note)


def write_folder(
    out: str, batches: Iterable[Array], names: Iterable[str], x_range: Range, *, note: str = ""
) -> None:
    """A PNG for each row of batches, float32 (n,C,H,W) in `x_range`, under the next of `names`."""
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise _unwritable(out, error) from error
    remaining = iter(names)
    for batch in batches:
        for pixels in to_uint8(batch, x_range):
            with staged(str(folder / f"{next(remaining)}.png")) as file:
                _save_png(file, pixels, note)


def write_gif(out: str, batches: Iterable[Array], x_range: Range) -> None:
    """An animation that repeats: a frame for each row of batches, float32 (n,C,H,W)."""
    with staged(out) as file:
        frames = [to_pil(pixels) for batch in batches for pixels in to_uint8(batch, x_range)]
        if not frames:
            raise InputError(f"{out}: a .gif needs at least 1 row, got 0: write .npy")
        buffer = io.BytesIO()
        frames[0].save(
            buffer, "GIF", save_all=True, append_images=frames[1:], duration=FRAME_MS, loop=0
        )
        file.write(buffer.getbuffer())


def write_figure(out: str, name: str, figure: "Figure") -> None:
    """A figure of matplotlib as `name`.png in the folder `out`, which is made."""
    try:
        Path(out).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(out, error) from error
    with staged(str(Path(out) / f"{name}.png")) as file:
        figure.savefig(file, dpi=110, format="png")


def near_square(rows: int, height: int, width: int) -> int:
    """How many columns make a sheet of `rows` tiles of height x width nearly square."""
    return max(1, min(rows, ceil(sqrt(rows * height / width))))


def check_sheet(rows: int, item: Sequence[int], columns: int) -> None:
    """Raises InputError where a sheet has no tile or would be larger than viewers open."""
    if rows < 1:
        raise InputError("a picture needs at least 1 row, got 0: write .npy for an empty result")
    tall, wide = ceil(rows / columns) * item[1], columns * item[2]
    if max(tall, wide) > LARGEST_SIDE:
        raise InputError(
            f"a sheet has at most {LARGEST_SIDE} pixels a side, {rows} tiles would make it "
            f"{wide} x {tall}: write .npy or a folder (a name that ends in /) instead"
        )


def index_names(start: int, rows: int) -> Iterator[str]:
    """000000 and so on: the rows' global numbers, so that runs with other starts sort together."""
    digits = max(6, len(str(start + max(rows - 1, 0))))
    return (f"{start + row:0{digits}d}" for row in range(rows))


def _check_space(out: str, shape: Sequence[int], dtype: DTypeLike) -> None:
    """Raises InputError where the disk has no room for such an array."""
    folder = Path(os.path.realpath(out)).parent
    if out == "-" or not folder.is_dir() or (os.path.exists(out) and not os.path.isfile(out)):
        return  # nowhere on a disk, or refused when it is opened
    need, free = prod(shape) * np.dtype(dtype).itemsize, shutil.disk_usage(folder).free
    if need > free:
        raise InputError(
            f"cannot write {out}: {shape[0]} rows take {need / 1e9:.3g} GB, {folder} has "
            f"{free / 1e9:.3g} GB left; ask for fewer rows, or name another place"
        )


def _stream(
    file: IO[bytes], batches: Iterable[Array], shape: Sequence[int], dtype: DTypeLike
) -> None:
    header = np.lib.format.header_data_from_array_1_0(np.empty(0, dtype))
    np.lib.format.write_array_header_1_0(file, {**header, "shape": tuple(shape)})
    for batch in batches:
        file.write(np.ascontiguousarray(batch, dtype).data)


def _save_png(file: IO[bytes], pixels: NDArray[np.uint8], note: str) -> None:
    from PIL.PngImagePlugin import PngInfo

    text = PngInfo()
    if note:
        text.add_text("edgevae", note)
    buffer = io.BytesIO()  # Pillow seeks, and a pipe cannot
    to_pil(pixels).save(buffer, "PNG", pnginfo=text)
    file.write(buffer.getbuffer())


def _unwritable(out: str, error: OSError) -> InputError:
    return InputError(
        f"cannot write {out}: {error.strerror}; name a place that exists, has room and may be "
        f"written"
    )

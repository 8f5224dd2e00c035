"""The inputs of a verb: pictures, a folder of them, arrays, tables, text, standard input."""

import io
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgevae import checks
from edgevae.bundle import Bundle
from edgevae.data import Text, numbered
from edgevae.errors import InputError
from edgevae.files import array_files, picture_files, tables, text_lines, windows
from edgevae.files.batches import Batch, Floats, Id, batch_rows, read_ahead, spool
from edgevae.files.tables import Notify, Row, Schema
from edgevae.files.windows import Tally

STDIN = "standard input"

Parse = Callable[[Iterable[bytes], Schema, str, Notify], Iterator[Row]]


class Inputs(NamedTuple):
    """The items that a verb reads.

    form: "image" (one file), "images" (several, or a folder), "text", "array" or "table".
    rows: the number of items.
    ids: an id for each item: its picture's name without folder and suffix (with the suffix if two
        would be the same), its string, its own id in a table, or its number from 0.
    dtype: the dtype of an array, "uint8" or "float32", which results may have as well.
    batches: the items, float32 (n, *x_shape), once.
    """

    form: str
    rows: int
    ids: Sequence[Id]
    dtype: str
    batches: Iterator[Floats]


def read(
    paths: Sequence[str],
    bundle: Bundle,
    *,
    resize: bool = False,
    notify: Notify = warnings.warn,
) -> Inputs:
    """Read the inputs that a command line names, as `bundle` takes them.

    `paths` are any number of pictures, one folder of them, one .npy or .npz, any number of tables
    (.csv, .jsonl, .ndjson, .parquet), or "-" for standard input; for text strings, one .txt of
    lines, one .npy or .npz, or "-" for lines.

    Everything is read once. Names, shapes and the sizes of pictures are checked at once, and so are
    the values of tables, of text and of the first 64 MiB of other inputs; the rest is checked batch
    by batch. `resize` fits pictures of another size to the model. `notify` is called with notes,
    such as columns that are ignored. Raises `InputError`.
    """
    if list(paths) == ["-"]:
        form, first, more = _open_stdin(bundle)
        if form == "table":
            return _from_table(_stdin_batches(first, more, bundle, notify), bundle)
        return _from_content(form, first + more.read(), bundle, resize)
    if len(paths) == 1 and array_files.is_array(paths[0]):
        return _from_array(array_files.load(paths[0], paths[0]), bundle, paths[0])
    if isinstance(bundle.data, Text):
        return _from_text(*text_lines.strings(paths), bundle.data, batch_rows(bundle))
    if any(map(is_table, paths)):
        return _from_table(_table_batches(paths, bundle, notify), bundle)
    return _from_pictures(paths, bundle, resize, notify)


def stream(
    paths: Sequence[str],
    bundle: Bundle,
    notify: Notify = warnings.warn,
    *,
    disjoint: bool = False,
    resize: bool = False,
) -> Iterator[Batch]:
    """Yield batches of the items that `read` takes, each as soon as it has arrived.

    Rows or strings on standard input come one at a time. Steps of a signal become windows that
    begin the manifest's stride apart, or that share no step if `disjoint`. Raises `InputError`.
    """
    if list(paths) == ["-"]:
        form, first, more = _open_stdin(bundle)
        if form == "text" and isinstance(bundle.data, Text):
            yield from text_lines.stream(_lines(first, more), bundle.data, STDIN)
            return
        if form == "table":
            yield from _stdin_batches(first, more, bundle, notify, size=1, disjoint=disjoint)
            return
        inputs = _from_content(form, first + more.read(), bundle, resize)
    elif any(map(is_table, paths)) and not bundle.data.is_text:
        yield from _table_batches(paths, bundle, notify, disjoint=disjoint)
        return
    else:
        inputs = read(paths, bundle, resize=resize, notify=notify)
    done = 0
    for x in inputs.batches:
        yield Batch(list(inputs.ids[done : done + len(x)]), x)
        done += len(x)


def read_latents(path: str, bundle: Bundle) -> Floats:
    """Return latents, float32 (N, ...), whose shape but for N is for the caller to check.

    `path` is a .npy, a .npz with the array "z" or "mu", or a table with the columns z0, z1 and so
    on or mu0, mu1 and so on; `edgevae encode` writes them. "-" is standard input. Raises
    `InputError`.
    """
    where = STDIN if path == "-" else path
    data = sys.stdin.buffer.read() if path == "-" else b""
    if is_table(path) or (data and not data.startswith(array_files.MAGIC)):
        return _latents_of_table(path, data, bundle)
    array = array_files.load(data if path == "-" else path, where, ("z", "mu"))
    try:
        rows = checks.latents(array)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    return rows[None] if rows.ndim == len(bundle.latent_shape) else rows


def is_table(path: str) -> bool:
    """Return True if a file's name ends as that of a table."""
    return Path(path).suffix.lower() in tables.SUFFIXES


# --- the forms of inputs ---------------------------------------------------------------------


def _from_array(x: NDArray[Any], bundle: Bundle, where: str) -> Inputs:
    rows, batches = array_files.read(x, bundle, batch_rows(bundle), where)
    dtype = "uint8" if x.dtype == np.uint8 else "float32"
    form = "text" if bundle.data.is_text else "array"
    return Inputs(form, rows, range(rows), dtype, read_ahead(batches))


def _from_text(items: list[str], places: list[str], text: Text, size: int) -> Inputs:
    batches = text_lines.read(items, places, text, size)
    return Inputs("text", len(items), items, "float32", batches)


def _from_table(batches: Iterable[Batch], bundle: Bundle) -> Inputs:
    ids, items = spool(batches, bundle)
    return Inputs("table", len(ids), ids, "float32", items)


def _from_pictures(paths: Sequence[str], bundle: Bundle, resize: bool, notify: Notify) -> Inputs:
    folder = len(paths) == 1 and Path(paths[0]).is_dir()
    files = picture_files.in_folder(paths[0], notify) if folder else [Path(path) for path in paths]
    for path in () if folder else paths:
        if Path(path).is_dir() or array_files.is_array(path):
            raise InputError(
                f"{path}: expected an image file beside others; give images, or one folder, one "
                f".npy or .npz, or - for standard input"
            )
    if not bundle.data.drawable:
        raise InputError(
            f"{paths[0]}: expected {bundle.kind}s, which bundle {bundle.name!r} takes, in "
            f"{', '.join((*array_files.SUFFIXES, *sorted(tables.SUFFIXES)))}, or - for standard "
            f"input"
        )
    batches = read_ahead(picture_files.read(files, bundle, batch_rows(bundle), resize))
    form = "image" if len(files) == 1 else "images"
    return Inputs(form, len(files), picture_files.names(files), "uint8", batches)


def _table_batches(
    paths: Sequence[str], bundle: Bundle, notify: Notify, *, disjoint: bool = False
) -> Iterator[Batch]:
    """Yield the items of tables, one table after the other."""
    schema, tally = tables.schema(bundle), Tally()
    for path in paths:
        if not is_table(path):
            raise InputError(f"{path}: expected a table beside others; give one kind of input")
        rows = tables.read(Path(path), schema, notify)
        yield from windows.items(rows, bundle, batch_rows(bundle), notify, tally, disjoint=disjoint)
    _require_windows(tally, bundle, paths[-1])


def _latents_of_table(path: str, data: bytes, bundle: Bundle) -> Floats:
    """Return the latents in a table; the columns of logvar, which `encode` writes, are ignored."""
    schema = Schema(
        numbered("z", bundle.dims),
        others=numbered("mu", bundle.dims),
        shapes=((bundle.dims,), bundle.latent_shape),
        description="the latent's dimensions",
    )
    if path == "-":
        rows = _parser(data)(io.BytesIO(data), schema, STDIN, tables.ignore)
    else:
        rows = tables.read(Path(path), schema, tables.ignore)
    z = [row.values.reshape(bundle.latent_shape) for row in rows]
    return np.stack(z) if z else np.empty((0, *bundle.latent_shape), np.float32)


# --- standard input --------------------------------------------------------------------------


def _open_stdin(bundle: Bundle) -> tuple[str, bytes, IO[bytes]]:
    """Return the form of standard input, its first line, and the stream of the rest."""
    stream = sys.stdin.buffer
    first = stream.readline()
    if first.startswith(array_files.MAGIC):
        return "array", first, stream
    if bundle.data.is_text:
        return "text", first, stream
    if bundle.data.drawable and not _is_json(first):
        return "image", first, stream
    return "table", first, stream


def _from_content(form: str, data: bytes, bundle: Bundle, resize: bool) -> Inputs:
    """Return all of standard input, an array, lines of text or a picture."""
    if form == "array":
        return _from_array(array_files.load(data, STDIN), bundle, STDIN)
    if isinstance(bundle.data, Text):
        return _from_text(*text_lines.lines(data, STDIN), bundle.data, batch_rows(bundle))
    if not data:
        raise InputError(f"{STDIN}: expected an image, .npy or .npz, got nothing")
    x = picture_files.read_picture(io.BytesIO(data), bundle, STDIN, resize)
    return Inputs("image", 1, ["stdin"], "uint8", iter([x]))


def _stdin_batches(
    first: bytes,
    more: IO[bytes],
    bundle: Bundle,
    notify: Notify,
    *,
    size: int | None = None,
    disjoint: bool = False,
) -> Iterator[Batch]:
    """Yield the items of a table on standard input, `size` at a time, CSV or JSON lines."""
    rows, tally = _parser(first)(_lines(first, more), tables.schema(bundle), STDIN, notify), Tally()
    size = size or batch_rows(bundle)
    yield from windows.items(rows, bundle, size, notify, tally, disjoint=disjoint)
    _require_windows(tally, bundle, STDIN)


def _require_windows(tally: Tally, bundle: Bundle, where: str) -> None:
    """Raise `InputError` if there were steps, but too few for a window."""
    if tally.steps and not tally.windows:
        raise InputError(
            f"{where}: expected at least {bundle.data.window} steps, as many as a window has, got "
            f"{tally.steps}; add steps"
        )


def _is_json(data: bytes) -> bool:
    """Return True if data begins as JSON lines do."""
    return data.lstrip()[:1] in (b"{", b"[")


def _parser(data: bytes) -> Parse:
    """Return the parser of a table that begins with `data`."""
    return tables.from_json if _is_json(data) else tables.from_csv


def _lines(first: bytes, more: IO[bytes]) -> Iterable[bytes]:
    return chain([first], more) if first else ()

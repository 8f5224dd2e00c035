"""The results of a verb, and the forms in which they can be written.

Every writer takes an iterator of batches and opens its destination before it asks for the first
one, so that a place that cannot be written costs no work. A file appears under its name when it is
complete. Arrays, tables and folders hold one batch at a time in memory, sheets and animations all
of their pixels.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgevae import checks
from edgevae.bundle import Bundle
from edgevae.data import Kind, Text, numbered, to_uint8
from edgevae.files.animations import write_gif
from edgevae.files.array_files import write_npy, write_npz
from edgevae.files.batches import Id
from edgevae.files.folders import write_folder
from edgevae.files.sheets import FORMATS, layout, write_sheet
from edgevae.files.table_writer import Rows, item_rows, step_rows, write_table
from edgevae.files.text_lines import write_lines
from edgevae.latents import Posterior

FORMS = {
    **dict.fromkeys(FORMATS, "sheet"),
    ".gif": "gif",
    ".npy": "npy",
    ".npz": "npz",
    ".csv": "table",
    ".parquet": "table",
    ".txt": "text",
}
PICTURES = ("sheet", "gif", "folder")  # the forms that only images have


class Results(NamedTuple):
    """Items that a verb computes, batch by batch, and how they should be shown.

    batches: float32 (n, *x_shape); for text also lists of str.
    rows: the number of items in all batches.
    data: the kind of the items, and their shape.
    ids: an id for each item, by default its number. They name the files of a folder and the rows
        of a table.
    dtype: of arrays, "float32" (N, *x_shape) or for images "uint8" (N, H, W, C).
    key, arrays: the name of the items in an .npz, and further arrays that stand beside them.
    columns: the tiles in a line of a sheet; None makes it nearly square.
    labels: a label for each line of a sheet.
    note: a text that pictures carry, such as the command that wrote them.
    """

    batches: Iterable[Any]
    rows: int
    data: Kind
    ids: Sequence[Id] | None = None
    dtype: str = "float32"
    key: str = "x_hat"
    arrays: Mapping[str, NDArray[Any] | int] = MappingProxyType({})
    columns: int | None = None
    labels: Sequence[str] = ()
    note: str = ""


def form_of(out: str, stream: str = "npy") -> str:
    """Return the form that an output's name stands for: one of `FORMS`, or "folder".

    `stream` is the form of standard output, "-". Raises ValueError for another name.
    """
    if out == "-":
        return stream
    checks.path(out, "output")
    if out.endswith(("/", os.sep)) or os.path.isdir(out):
        return "folder"
    try:
        return FORMS[Path(out).suffix.lower()]
    except KeyError:
        raise ValueError(
            f"expected a name that ends in {', '.join(FORMS)}, or in / for a folder, got {out!r}"
        ) from None


def save(out: str, form: str, results: Results, *, scale: int | None = None) -> None:
    """Write results to `out` in a form that `form_of` knows.

    `scale` is the number of pixels for each pixel of an item, in width and height. None enlarges
    the small tiles of a sheet and the small frames of an animation, but no single picture and no
    pictures in a folder. With 1 a sheet holds the items' pixels alone, without gaps and labels.
    Raises `InputError`.
    """
    data, batches = results.data, results.batches
    ids = range(results.rows) if results.ids is None else results.ids
    x_range = data.x_range or (0.0, 1.0)
    if isinstance(data, Text) and form == "text":
        write_lines(out, batches, data)
    elif form == "sheet":
        sheet = layout(results.rows, data.x_shape, results.columns, scale, results.labels)
        write_sheet(out, batches, sheet, x_range, labels=results.labels, note=results.note)
    elif form == "gif":
        write_gif(out, batches, x_range, scale=scale)
    elif form == "folder":
        write_folder(out, batches, ids, x_range, scale=scale or 1, note=results.note)
    elif form == "table":
        to_rows = step_rows if data.window else item_rows
        tables = (to_rows(*batch) for batch in _named(ids, batches))
        write_table(out, data.feature_names, tables)
    else:
        _save_array(out, form, results)


def save_posteriors(
    out: str,
    form: str,
    posteriors: Iterable[Posterior],
    rows: int,
    bundle: Bundle,
    ids: Sequence[Id] | None = None,
) -> None:
    """Write mu and logvar of `rows` items: an .npz of both, or a table.

    The arrays are float32 (rows, *latent_shape). The table has the columns id, mu0, mu1 and so on,
    and logvar0 and so on, whose dimensions are in C order. Raises `InputError`.
    """
    if form == "table":
        names = [*numbered("mu", bundle.dims), *numbered("logvar", bundle.dims)]
        ids = range(rows) if ids is None else ids
        write_table(out, names, _posterior_rows(ids, posteriors))
        return
    shape = rows, *bundle.latent_shape
    logvar = np.empty(shape, np.float32)

    def means() -> Iterator[NDArray[np.float32]]:
        done = 0
        for posterior in posteriors:
            logvar[done : done + len(posterior.mu)] = posterior.logvar
            done += len(posterior.mu)
            yield posterior.mu

    write_npz(out, "mu", means(), shape, "float32", logvar=logvar)


def _save_array(out: str, form: str, results: Results) -> None:
    shape, batches = results.data.x_shape, results.batches
    if results.dtype == "uint8":
        x_range = results.data.x_range or (0.0, 1.0)
        batches, shape = (to_uint8(x, x_range) for x in batches), (*shape[1:], shape[0])
    shape = results.rows, *shape
    if form == "npy":
        write_npy(out, batches, shape, results.dtype)
    else:
        write_npz(out, results.key, batches, shape, results.dtype, **results.arrays)


def _posterior_rows(ids: Sequence[Id], posteriors: Iterable[Posterior]) -> Iterator[Rows]:
    pairs = (np.stack([each.mu, each.logvar], axis=1) for each in posteriors)
    return (item_rows(*batch) for batch in _named(ids, pairs))


def _named(
    ids: Sequence[Id], batches: Iterable[NDArray[Any]]
) -> Iterator[tuple[list[Id], NDArray[Any]]]:
    """Yield each batch with its ids, all of them numbers or all of them strings."""
    numbers = isinstance(ids, range) or all(isinstance(each, int) for each in ids)
    remaining: Iterator[Id] = iter(ids) if numbers else map(str, ids)
    for x in batches:
        yield list(islice(remaining, len(x))), x

"""Folders of pictures: a PNG file for each item, and figures."""

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from edgevae import checks
from edgevae.data import Range, to_pil, to_uint8
from edgevae.files.batches import Id
from edgevae.files.destination import open_output, unwritable
from edgevae.files.file_names import DIGITS, FileNames
from edgevae.files.sheets import enlarged, save_picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write_folder(
    out: str,
    batches: Iterable[NDArray[Any]],
    ids: Iterable[Id],
    x_range: Range,
    *,
    scale: int = 1,
    note: str = "",
    names: FileNames | None = None,
) -> None:
    """Write a PNG for each row of `batches`, float32 (n, C, H, W), into a folder.

    The folder is created if it is missing. `names` gives the files' names by their `ids`, and has
    given those of the batches before; None begins anew. Raises `InputError` if the folder cannot
    be written.
    """
    folder = _create(out)
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise unwritable(out, error) from error
    names = _names(ids) if names is None else names
    remaining = iter(ids)
    for batch in batches:
        for pixels in enlarged(to_uint8(batch, x_range), scale):
            with open_output(str(folder / f"{names.name(next(remaining))}.png")) as file:
                save_picture(file, to_pil(pixels), note=note)


def write_figure(out: str, name: str, figure: "Figure") -> None:
    """Write a figure of matplotlib as `name`.png into the folder `out`, which is created."""
    with open_output(str(_create(out) / f"{name}.png")) as file:
        figure.savefig(file, dpi=110, format="png")


def _names(ids: Iterable[Id]) -> FileNames:
    """Return the names of the files of a folder; the numbers of a range have one width."""
    last = ids[-1] if isinstance(ids, range) and ids else 0
    return FileNames(max(DIGITS, len(str(last))))


def _create(out: str) -> Path:
    folder = checks.path(out, "folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(out, error) from error
    return folder

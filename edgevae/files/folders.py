"""Folders of pictures: a PNG file for each item, and figures."""

import re
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from edgevae.data import Range, to_pil, to_uint8
from edgevae.files.batches import Id
from edgevae.files.destination import open_output, unwritable
from edgevae.files.sheets import enlarged, save_picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LONGEST_NAME = 200  # characters; file systems take 255 bytes


def write_folder(
    out: str,
    batches: Iterable[NDArray[Any]],
    ids: Iterable[Id],
    x_range: Range,
    *,
    scale: int = 1,
    note: str = "",
) -> None:
    """Write a PNG for each row of `batches`, float32 (n, C, H, W), into a folder.

    The folder is created if it is missing. The files are named by `file_names` of `ids`. Raises
    `InputError` if the folder cannot be written.
    """
    folder = _create(out)
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise unwritable(out, error) from error
    names = file_names(ids)
    for batch in batches:
        for pixels in enlarged(to_uint8(batch, x_range), scale):
            with open_output(str(folder / f"{next(names)}.png")) as file:
                save_picture(file, to_pil(pixels), note=note)


def write_figure(out: str, name: str, figure: "Figure") -> None:
    """Write a figure of matplotlib as `name`.png into the folder `out`, which is created."""
    with open_output(str(_create(out) / f"{name}.png")) as file:
        figure.savefig(file, dpi=110, format="png")


def file_names(ids: Iterable[Id]) -> Iterator[str]:
    """Yield a plain file name, without a suffix, for each id; no two are the same.

    A number has at least six digits, all numbers of a range as many as its largest, so that the
    names sort. In a string, characters that may not stand in a file name become "_".
    """
    digits = 6
    if isinstance(ids, range) and ids:
        digits = max(digits, len(str(ids[-1])))
    used = set[str]()
    for each in ids:
        if isinstance(each, int):
            plain = f"{each:0{digits}d}"
        else:
            plain = re.sub(r"[^\w .,=@+-]|^\.", "_", str(each))[:LONGEST_NAME] or "_"
        name, copies = plain, 1
        while name in used:
            copies += 1
            name = f"{plain}-{copies}"
        if not isinstance(ids, range):  # the numbers of a range are different
            used.add(name)
        yield name


def _create(out: str) -> Path:
    try:
        Path(out).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(out, error) from error
    return Path(out)

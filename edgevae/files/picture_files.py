"""Picture files as items: their sizes checked from the headers, each decoded once."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np

from edgevae.bundle import Bundle
from edgevae.checks import open_file
from edgevae.data import IMAGE_SUFFIXES, from_pil, read_image, read_image_size, to_pil
from edgevae.errors import InputError
from edgevae.files.batches import Floats, checked_rows
from edgevae.files.tables import Notify


def in_folder(folder: str, notify: Notify) -> list[Path]:
    """Return the picture files in a folder, by name.

    `notify` is called with the number of other entries, which are left out unless they are hidden.
    Raises `InputError` if there is no picture.
    """
    try:
        entries = sorted(path for path in Path(folder).iterdir() if path.name[0] != ".")
    except OSError as error:
        raise InputError(f"{folder}: expected a folder to read: {error.strerror}") from error
    files = [path for path in entries if path.suffix.lower() in IMAGE_SUFFIXES]
    if not files:
        raise InputError(
            f"{folder}: expected a folder of images, found no {', '.join(sorted(IMAGE_SUFFIXES))}"
        )
    if others := [path.name for path in entries if path.suffix.lower() not in IMAGE_SUFFIXES]:
        notify(
            f"{folder}: left out {len(others)} of {len(entries)} entries, such as {others[0]!r}: "
            f"no images by their names"
        )
    return files


def names(files: Sequence[Path]) -> list[str]:
    """Return the files' names without folder and suffix; with it if two would be the same."""
    stems = [file.stem for file in files]
    return stems if len(set(stems)) == len(stems) else [file.name for file in files]


def read(files: Sequence[Path], bundle: Bundle, size: int, resize: bool) -> Iterator[Floats]:
    """Return an iterator of batches of `size` pictures, float32 (n, C, H, W).

    Files after the first batch have their headers checked at once; a file is decoded when its
    batch is used. `resize` fits a picture of another size to the model's height and width, with
    Lanczos' filter, as training does: its aspect may change. Raises `InputError`.
    """
    for file in files[size:]:
        check_header(file, bundle, resize)

    def batches() -> Iterator[Floats]:
        for first in range(0, len(files), size):
            rows = []
            for path in files[first : first + size]:
                with open_file(path) as file:
                    rows.append(read_picture(file, bundle, str(path), resize))
            yield np.concatenate(rows)

    return batches()


def read_picture(file: IO[bytes], bundle: Bundle, where: str, resize: bool) -> Floats:
    """Return the picture in an open file as float32 (1, C, H, W). Raises `InputError`."""
    image = read_image(file, where)
    channels, height, width = bundle.x_shape
    if image.size == (width, height):
        return checked_rows(image, bundle, where)
    if not resize:
        raise _wrong_size(image.size, bundle, where)
    from PIL import Image

    try:
        pixels = to_pil(from_pil(image, channels))
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    return checked_rows(pixels.resize((width, height), Image.Resampling.LANCZOS), bundle, where)


def check_header(path: Path, bundle: Bundle, resize: bool) -> None:
    """Raise `InputError` if a file's header shows no picture or one of another size.

    The Exif data, which may turn a picture, are not read yet, so that a picture on its side passes.
    """
    _, height, width = bundle.x_shape
    with open_file(path) as file:
        size = read_image_size(file, str(path))
    if not resize and size not in ((width, height), (height, width)):
        raise _wrong_size(size, bundle, str(path))


def _wrong_size(size: tuple[int, int], bundle: Bundle, where: str) -> InputError:
    _, height, width = bundle.x_shape
    return InputError(
        f"{where}: expected an image of {width} x {height} pixels, got {size[0]} x "
        f"{size[1]}; --resize makes it fit"
    )

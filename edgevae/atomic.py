"""Files and folders that appear under their names complete, or not at all."""

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def create(path: str | os.PathLike[str], *, durable: bool = False) -> Iterator[IO[bytes]]:
    """Open a binary file that appears as `path` when the block ends without an error.

    Until then the bytes are in a hidden file beside it, which an error removes; a file at `path`
    stays unchanged. A new file keeps the mode of the file that it replaces. A link is followed. A
    pipe or a device is written directly. With `durable`, the file is on the disk when the block
    ends.

    Raises OSError if the file cannot be created or written.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        with target.open("wb") as file:
            yield file
        return
    draft = target.with_name(f".{target.name}.{os.urandom(4).hex()}.part")
    try:
        with draft.open("xb") as file:
            if target.exists():
                draft.chmod(stat.S_IMODE(target.stat().st_mode))
            yield file
            if durable:
                _flush_to_disk(file)
        draft.replace(target)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    if durable:
        sync(target.parent)


def write(path: Path, data: bytes) -> None:
    """Write a file into a folder that is not in use yet, and wait until it is on the disk."""
    with path.open("wb") as file:
        file.write(data)
        _flush_to_disk(file)


def replace(target: Path, draft: Path) -> None:
    """Put the folder `draft` in the place of the folder `target`.

    A reader sees the old folder, none for a moment, or the new one.
    """
    if target.exists():
        old = draft.with_suffix(".old")
        target.rename(old)
        try:
            draft.rename(target)
        except BaseException:
            old.rename(target)
            raise
        shutil.rmtree(old)
    else:
        draft.rename(target)
    sync(target.parent)


def sync(folder: Path) -> None:
    """Wait until a folder's entries are on the disk; Windows cannot do so and need not."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _flush_to_disk(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())

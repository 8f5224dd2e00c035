"""Files and folders that are on the disk, whole, once a call returns."""

import os
import shutil
from pathlib import Path


def replace(target: Path, draft: Path) -> None:
    """Puts draft in target's place. A reader sees the old bundle, for a moment none, or the new."""
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


def write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync(folder: Path) -> None:
    """Makes a folder's entries durable; Windows cannot and need not."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

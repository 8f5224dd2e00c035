"""Files and folders that appear under their names complete, or not at all.

Until then the bytes are in a draft beside them, which an error or a signal removes. A process that
is killed leaves its draft. The next that writes into the same folder removes it: a draft is locked
by its writer, and the system ends the lock with the process.
"""

import os
import re
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from edgevae import interrupts

_DRAFT = re.compile(r"\..+\.[0-9a-f]{8}\.edgevae\.(part|draft)")
# Seconds after which an unlocked draft is abandoned. Before, its writer may be about to lock it.
_ABANDONED = 60.0

_drafts: set[Path] = set()  # of this process
_searched: set[Path] = set()  # folders, so that one of many pictures is listed once


@contextmanager
def create(path: str | os.PathLike[str], *, durable: bool = False) -> Iterator[IO[bytes]]:
    """Open a binary file that appears as `path` when the block ends without an error.

    Until then a file at `path` stays unchanged. A new file keeps the mode of the file that it
    replaces. A link is followed. A pipe or a device is written directly. With `durable`, the file
    is on the disk when the block ends.

    Raises OSError if the file cannot be created or written.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        with target.open("wb") as file:
            yield file
        return
    with _draft(target, "part") as draft:
        with draft.open("xb") as file:
            _lock(file.fileno())
            _keep_mode(target, draft)
            yield file
            if durable:
                _flush_to_disk(file)
        draft.replace(target)
    if durable:
        sync(target.parent)


@contextmanager
def create_folder(target: Path) -> Iterator[Path]:
    """Make a folder that appears as `target` when the block ends without an error.

    The block gets the draft of the folder, which `write` fills. A folder at `target` is replaced;
    it keeps its mode. Where the system can swap two folders (Linux), a reader sees the old one or
    the new one; elsewhere it sees none for a moment.
    """
    with _draft(target, "draft") as draft:
        draft.mkdir()
        with _locked_folder(draft):
            _keep_mode(target, draft)
            yield draft
            sync(draft)
            _replace(target, draft)


def write(path: Path, data: bytes) -> None:
    """Write a file into a folder that is not in use yet, and wait until it is on the disk."""
    with path.open("wb") as file:
        file.write(data)
        _flush_to_disk(file)


def sync(folder: Path) -> None:
    """Wait until a folder's entries are on the disk; Windows cannot do so and need not."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _replace(target: Path, draft: Path) -> None:
    if not target.exists():
        draft.rename(target)
    elif not _swap(target, draft):
        old = draft.with_suffix(".old")
        target.rename(old)
        try:
            draft.rename(target)
        except BaseException:
            old.rename(target)
            raise
        shutil.rmtree(old)
    sync(target.parent)


def _swap(one: Path, other: Path) -> bool:
    """Swap two paths in one step. Return False if the system cannot."""
    import ctypes

    at_working_folder, exchange = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux
    try:
        rename = ctypes.CDLL(None).renameat2
    except (OSError, TypeError, AttributeError):  # another system, or an old one
        return False
    paths = os.fsencode(one), os.fsencode(other)
    return bool(rename(at_working_folder, paths[0], at_working_folder, paths[1], exchange) == 0)


@contextmanager
def _draft(target: Path, suffix: str) -> Iterator[Path]:
    """Name a draft of `target`, which is removed when the block ends, if it is still there."""
    _remove_abandoned(target.parent)
    draft = target.with_name(f".{target.name}.{os.urandom(4).hex()}.edgevae.{suffix}")
    _drafts.add(draft)
    try:
        yield draft
    finally:
        _remove(draft)
        _drafts.discard(draft)


def _remove_abandoned(folder: Path) -> None:
    """Remove the drafts in a folder whose writers were killed."""
    if folder in _searched:
        return
    _searched.add(folder)
    with suppress(OSError):
        for entry in os.scandir(folder):
            if _DRAFT.fullmatch(entry.name) and _is_abandoned(entry):
                _remove(Path(entry.path))


def _is_abandoned(entry: os.DirEntry[str]) -> bool:
    try:
        if time.time() - entry.stat(follow_symlinks=False).st_mtime < _ABANDONED:
            return False
        if os.name == "nt":  # which does not remove an open file
            return True
        handle = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            return _lock(handle)
        finally:
            os.close(handle)
    except OSError:
        return False


def _lock(handle: int) -> bool:
    """Lock an open file or folder until it is closed. Return False if that is impossible."""
    if os.name == "nt":
        return False
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # another process has locked it, or the file system has no locks
        return False
    return True


@contextmanager
def _locked_folder(folder: Path) -> Iterator[None]:
    if os.name == "nt":  # which cannot open a folder
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        _lock(handle)
        yield
    finally:
        os.close(handle)


def _keep_mode(target: Path, draft: Path) -> None:
    if target.exists():
        draft.chmod(stat.S_IMODE(target.stat().st_mode))


def _remove(draft: Path) -> None:
    with suppress(OSError):
        if draft.is_dir() and not draft.is_symlink():
            shutil.rmtree(draft, ignore_errors=True)
        else:
            draft.unlink(missing_ok=True)


def _discard_drafts() -> None:
    """Remove the drafts of this process, whose blocks will not end."""
    for draft in _drafts.copy():
        _remove(draft)


def _flush_to_disk(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


interrupts.before_end.append(_discard_drafts)

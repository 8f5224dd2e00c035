"""The place where a result goes: a file that appears complete, a pipe, or standard output."""

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import DTypeLike

from edgevae import atomic
from edgevae.errors import InputError


@contextmanager
def open_output(out: str, *, readable: bool = False) -> Iterator[IO[bytes]]:
    """Open a binary file that becomes `out` when the block ends, and vanishes if an error ends it.

    "-" is standard output, which must not be a terminal unless the bytes are `readable`. A pipe or
    a device is written directly. Raises `InputError` if `out` cannot be created or written.
    """
    if out == "-" and sys.stdout.isatty() and not readable:
        raise InputError("refused to write binary data to a terminal: redirect it, > FILE")
    with writing_to(out):
        if out == "-":
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
        else:
            with atomic.create(out) as file:
                yield file


@contextmanager
def writing_to(out: str) -> Iterator[None]:
    """Raise `InputError` for an OSError in the block; BrokenPipeError passes through."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise unwritable("standard output" if out == "-" else out, error) from error


def unwritable(out: str, error: OSError) -> InputError:
    """Return the error to raise for a place that cannot be written."""
    return InputError(
        f"cannot write {out}: {error.strerror}; name a place that exists, has free space and may "
        f"be written"
    )


def check_space(out: str, shape: Sequence[int], dtype: DTypeLike) -> None:
    """Raise `InputError` if the disk has no room for an array of this shape and dtype."""
    folder = Path(os.path.realpath(out)).parent
    if out == "-" or not folder.is_dir() or (os.path.exists(out) and not os.path.isfile(out)):
        return  # not on a disk, or refused when it is opened
    need, free = prod(shape) * np.dtype(dtype).itemsize, shutil.disk_usage(folder).free
    if need > free:
        raise InputError(
            f"cannot write {out}: {shape[0]} rows take {need / 1e9:.3g} GB, {folder} has "
            f"{free / 1e9:.3g} GB left; ask for fewer rows, or name another place"
        )

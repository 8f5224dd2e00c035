"""Batches of items: their size, their checks, and the place where they wait."""

import tempfile
from collections.abc import Iterable, Iterator
from itertools import chain
from math import prod
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from edgevae.bundle import Bundle
from edgevae.errors import InputError

Floats = npt.NDArray[np.float32]
Id = str | int

MAX_ROWS, MAX_NUMBERS = 256, 1 << 22  # of one batch
READ_AHEAD = 1 << 24  # numbers, 64 MiB: inputs of this size are read before any work begins
SPOOL_BYTES = 1 << 26  # of a table in memory; the rest of it waits in a temporary file


class Batch(NamedTuple):
    """Items, float32 (n, *x_shape), and the id of each: its own, its file's name or its number."""

    ids: list[Id]
    x: Floats


def batch_rows(bundle: Bundle) -> int:
    """Return the number of items in a batch, which depends on their size."""
    return max(1, min(MAX_ROWS, MAX_NUMBERS // prod(bundle.x_shape)))


def checked_rows(x: Any, bundle: Bundle, where: str) -> Floats:
    """Return items as float32 (N, *x_shape). Raises `InputError`, which names `where`."""
    try:
        return bundle.data.read(x).rows
    except InputError as error:
        raise InputError(str(error) if where in str(error) else f"{where}: {error}") from error


def read_ahead(batches: Iterator[Floats]) -> Iterator[Floats]:
    """Read the first `READ_AHEAD` numbers at once, so that an error in them costs no work.

    Returns an iterator of all batches; those after the first are read as they are used.
    """
    first, numbers = [], 0
    for x in batches:
        first.append(x)
        numbers += x.size
        if numbers >= READ_AHEAD:
            break
    return chain(first, batches)


def spool(batches: Iterable[Batch], bundle: Bundle) -> tuple[list[Id], Iterator[Floats]]:
    """Read all batches, and return their ids and an iterator of their items.

    The items wait in memory, or if they are many in a temporary file.
    """
    ids: list[Id] = []
    file = tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES)  # noqa: SIM115 (closed when read)
    try:
        for batch in batches:
            ids += batch.ids
            file.write(batch.x.tobytes())
        file.seek(0)
    except BaseException:
        file.close()
        raise
    size = batch_rows(bundle) * prod(bundle.x_shape) * np.dtype(np.float32).itemsize

    def read_back() -> Iterator[Floats]:
        with file:
            while data := file.read(size):
                yield np.frombuffer(data, np.float32).reshape(-1, *bundle.x_shape)

    return ids, read_back()

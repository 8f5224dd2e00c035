"""What `edgevae score` reads, a batch at a time: items, and what to call each in the answer."""

import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, count, islice
from math import prod
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edgevae.bundle import Bundle
from edgevae.data import text
from edgevae.errors import InputError
from edgevae.files import inputs
from edgevae.files import tables as rows
from edgevae.files.tables import Row, Tell

_MOST_ROWS, _MOST_NUMBERS = 256, 1 << 22  # of a batch

Floats = npt.NDArray[np.float32]
Id = str | int


class Batch(NamedTuple):
    """Items float32 (n, *x_shape), and an id of each: its own, its file's name or its number."""

    ids: list[Id]
    x: Floats


def batch_rows(bundle: Bundle) -> int:
    """Items at a time, of whatever size."""
    return max(1, min(_MOST_ROWS, _MOST_NUMBERS // prod(bundle.x_shape)))


def read(
    paths: Sequence[str], bundle: Bundle, tell: Tell, *, apart: bool = False
) -> Iterator[Batch]:
    """All that `inputs.read` does, and tables: .csv, .jsonl and .parquet, one after the other.

    From standard input ("-") rows, or strings of text, are read one at a time, each a batch as
    soon as it is there. Steps of a signal become windows, each an item when its last step is
    there: the manifest's stride apart, or with `apart` so that none shares a step with another.
    `tell` is called once with what is ignored. Raises `InputError`.
    """
    if list(paths) == ["-"]:
        yield from _live(bundle, tell, apart)
        return
    if not any(Path(path).suffix.lower() in rows.SUFFIXES for path in paths) or bundle.text:
        yield from _named(inputs.read(paths, bundle, batch_rows(bundle)))
        return
    for path in paths:
        if Path(path).suffix.lower() not in rows.SUFFIXES:
            raise InputError(f"{path}: expected a table beside others; give one kind of input")
        yield from _batches(rows.read(Path(path), bundle, tell), bundle, batch_rows(bundle), apart)


def _live(bundle: Bundle, tell: Tell, apart: bool) -> Iterator[Batch]:
    """Standard input, line by line where it has lines."""
    stream = sys.stdin.buffer
    first = stream.readline()
    json = first.lstrip()[:1] in (b"{", b"[")
    if first.startswith(inputs.ARRAY_STARTS) or (bundle.kind == "image" and not json):
        yield from _named(inputs.from_bytes(first + stream.read(), bundle, batch_rows(bundle)))
        return
    lines: Iterable[bytes] = chain([first], stream) if first else ()
    if bundle.text:
        for number, line in enumerate(lines):
            where = f"{inputs.STDIN}, line {number + 1}"
            item = _decoded(line, where)
            fitting = text.fitting(item, where, bundle.text)
            yield Batch([item], text.one_hot([fitting], bundle.text))
        return
    parse = rows.from_json if json else rows.from_csv
    yield from _batches(parse(lines, bundle, inputs.STDIN, tell), bundle, 1, apart)


def _decoded(line: bytes, where: str) -> str:
    try:
        return line.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: expected UTF-8, got {error}") from error


def _named(given: inputs.Inputs) -> Iterator[Batch]:
    names: Iterator[Id] = iter(given.names) if given.names else count()
    for x in given.batches:
        yield Batch(list(islice(names, len(x))), x)


def _batches(given: Iterable[Row], bundle: Bundle, size: int, apart: bool) -> Iterator[Batch]:
    """Rows as items, `size` at a time."""
    items = _windows(given, bundle, apart) if bundle.kind == "signal" else iter(given)
    while batch := list(islice(items, size)):
        x = np.stack([row.values.reshape(bundle.x_shape) for row in batch])
        yield Batch([row.id for row in batch], x)


def _windows(given: Iterable[Row], bundle: Bundle, apart: bool) -> Iterator[Row]:
    """Windows of a signal's steps, with the ids of their first and last.

    Without a stride in the manifest they share no step either. A row that is a window stays one.
    """
    length = bundle.x_shape[1]
    stride = length if apart or not bundle.stride else bundle.stride
    steps: deque[Row] = deque(maxlen=length)
    wanted = length  # steps until the next window is full
    for row in given:
        if row.values.shape == bundle.x_shape:
            yield row
            continue
        steps.append(row)
        wanted -= 1
        if wanted == 0:
            x = np.stack([step.values for step in steps], axis=1)
            yield Row(row.where, f"{steps[0].id}-{row.id}", x)
            wanted = stride

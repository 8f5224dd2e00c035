"""Strings as items: from the command line, from lines in a file or a stream, and as lines out."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from edgevae.checks import open_file
from edgevae.data import Text
from edgevae.errors import InputError
from edgevae.files.batches import Batch, Floats
from edgevae.files.destination import open_output


def strings(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the strings of a command line or of one .txt, and the name of each in errors."""
    if len(arguments) == 1 and Path(arguments[0]).suffix.lower() == ".txt":
        with open_file(arguments[0]) as file:
            return lines(file.read(), arguments[0])
    return list(arguments), [f"input {i + 1}" for i in range(len(arguments))]


def lines(data: bytes, where: str) -> tuple[list[str], list[str]]:
    """Return the lines of a text in UTF-8, and the name of each in errors."""
    try:
        items = [line.rstrip("\r") for line in data.decode("utf-8-sig").split("\n")]
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: expected lines of text in UTF-8, got {error}") from error
    items = items if items[-1] else items[:-1]  # what follows the last line's end is no line
    return items, [f"{where}, line {i + 1}" for i in range(len(items))]


def read(items: Sequence[str], places: Sequence[str], text: Text, size: int) -> Iterator[Floats]:
    """Return an iterator of batches of `size` strings, one-hot float32 (n, length, symbols).

    All are checked at once. Raises `InputError`, which names the string's place.
    """
    checked = [text.fitting(item, place) for item, place in zip(items, places, strict=True)]
    return (text.one_hot(checked[i : i + size]) for i in range(0, len(checked), size))


def stream(stream: Iterable[bytes], text: Text, where: str) -> Iterator[Batch]:
    """Yield each line of a stream as a batch of one string, as soon as the line is complete."""
    for number, line in enumerate(stream, 1):
        place = f"{where}, line {number}"
        try:
            item = line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise InputError(f"{place}: expected UTF-8, got {error}") from error
        yield Batch([item], text.one_hot([text.fitting(item, place)]))


def write_lines(out: str, batches: Iterable[Any], text: Text) -> None:
    """Write a line in UTF-8 for each str, or each row of float32 (n, length, symbols)."""
    with open_output(out, readable=True) as file:
        for batch in batches:
            items = batch if isinstance(batch, list) else text.strings(batch)
            file.write("".join(f"{line}\n" for line in items).encode())

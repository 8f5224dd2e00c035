"""Strings as people have them to one-hot rows as a model has them, and back.

A string of a bundle's alphabet is float32 (length, symbols): row i is one-hot in character i, and
the rows after the last character are one-hot in the end, the last symbol.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from edgevae.data import images
from edgevae.data.images import Floats, Given
from edgevae.errors import InputError

Strings = npt.NDArray[np.str_]


class Text(NamedTuple):
    """What strings a bundle of kind "text" knows: x is one-hot (length, len(alphabet) + 1).

    The last symbol is the end, which fills the rest of each row. `case` "title": the alphabet
    is lower-case, what is given is lowered first, and what is made is in title case.
    """

    alphabet: str
    length: int
    case: str = "as given"


def given(x: Any, text: Text) -> Given:
    """Reads x: a str, which comes back as one, a list of them, or float32 as `decode` gives.

    Raises `InputError` for a character that the alphabet lacks, and for what is too long.
    """
    if isinstance(x, str):
        rows = one_hot([fitting(x, "x", text)], text)
        return Given(rows, lambda x_hat: strings(x_hat, text).tolist(), single=True)
    if isinstance(x, (list, tuple)) and any(isinstance(item, str) for item in x):
        items = [fitting(item, f"item {i} of the list", text) for i, item in enumerate(x)]
        return Given(one_hot(items, text), lambda x_hat: strings(x_hat, text).tolist())
    if isinstance(x, (list, tuple)) or (isinstance(x, np.ndarray) and x.dtype.kind == "f"):
        return images.given(x, "text", (text.length, len(text.alphabet) + 1), (0.0, 1.0))
    kind = f"an array of {x.dtype}" if isinstance(x, np.ndarray) else f"a {type(x).__name__}"
    raise InputError(
        f"x: expected a str, a list of str, or one-hot float32 (N, {text.length}, "
        f"{len(text.alphabet) + 1}), got {kind}; list(x) or x.tolist() makes a list"
    )


def fitting(item: Any, where: str, text: Text) -> str:
    """The item in the alphabet's case; `InputError`, which says `where`, unless it fits."""
    if not isinstance(item, str):
        raise InputError(f"{where}: expected a str as the others are, got a {type(item).__name__}")
    folded = item.lower() if text.case == "title" else item
    for position, character in enumerate(folded):
        if character not in text.alphabet:
            raise InputError(
                f"{where}: {item!r:.60} has {character!r} at position {position} (from 0), not one "
                f"of the model's alphabet, {text.alphabet!r}; remove it or spell it otherwise"
            )
    if len(folded) > text.length:
        raise InputError(
            f"{where}: {item!r:.60} has {len(folded)} characters, expected at most {text.length}; "
            f"shorten it"
        )
    return folded


def one_hot(items: Sequence[str], text: Text) -> Floats:
    """Strings that are `fitting` as float32 (N, length, symbols)."""
    place = {character: code for code, character in enumerate(text.alphabet)}
    codes = np.full((len(items), text.length), len(place))
    for row, item in zip(codes, items, strict=True):
        row[: len(item)] = [place[character] for character in item]
    rows: Floats = np.eye(len(place) + 1, dtype=np.float32)[codes]
    return rows


def strings(x_hat: Floats, text: Text, out: Strings | None = None) -> Strings:
    """The likeliest characters of x_hat (N, length, symbols), up to the first end: (N,) of str."""
    codes = x_hat.argmax(axis=2)
    # As code points, of which numpy takes NULs at the end of a string for none.
    points = np.array([*map(ord, text.alphabet), 0], np.uint32)[codes]
    points *= np.logical_and.accumulate(points != 0, axis=1)
    made: Any = np.ascontiguousarray(points).view(f"U{text.length}")[:, 0]
    if out is None:
        out = np.empty(len(made), f"U{text.length}")
    out[...] = np.char.title(made) if text.case == "title" else made
    return out

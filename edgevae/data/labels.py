"""Classes, for a bundle whose decoder is told which one to make: labels as callers give them.

The decoder's input `y` has a class number for each row, int64 (n,); the manifest's `classes` names
them in their order. A label is a number or a name, whose case does not matter.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edgevae import checks
from edgevae.errors import InputError

Numbers = npt.NDArray[np.int64]
Label = int | str
Labels = Label | Sequence[Label] | npt.NDArray[np.integer]


def cycle(classes: Sequence[str], n: int, start: int) -> Numbers | None:
    """What rows start .. start + n - 1 are where nobody says: each class in turn, row 0 the first.

    None for a bundle without classes.
    """
    if not classes:
        return None
    rows = np.arange(n, dtype=np.uint64) + np.uint64(start & checks.LAST)  # which wraps, as rows do
    return (rows % np.uint64(len(classes))).astype(np.int64)


def numbers(labels: Labels | None, classes: Sequence[str], n: int) -> Numbers | None:
    """The class number of each of n rows: one label is that of all, else there are n of them.

    None for a bundle without classes. Raises `InputError` for labels that are missing, not asked
    for, too many or too few, and for a class that there is not.
    """
    if not classes:
        if labels is not None:
            raise InputError(
                f"labels: expected none, since this bundle has no classes, got {labels!r:.60}; "
                f"leave labels out, or load one that was trained with --conditional"
            )
        return None
    if labels is None:
        raise InputError(f"labels: expected a class for each row, got none; {_listed(classes)}")
    given = labels.tolist() if isinstance(labels, np.ndarray) else labels
    if isinstance(given, str) or not isinstance(given, Sequence):
        return np.full(n, _number(given, classes), np.int64)
    found = [_number(label, classes) for label in given]
    if len(found) != n:
        raise InputError(f"labels: expected one label, or {n}, one for each row, got {len(found)}")
    return np.array(found, np.int64)


def _number(label: object, classes: Sequence[str]) -> int:
    folded = [name.casefold() for name in classes]
    if isinstance(label, str) and label.casefold() in folded:
        return folded.index(label.casefold())
    if isinstance(label, (int, np.integer)) and not isinstance(label, bool):
        number = int(label)
        if 0 <= number < len(classes):
            return number
    raise InputError(
        f"labels: expected a class, by number or name, got {label!r:.60}; {_listed(classes)}"
    )


def _listed(classes: Sequence[str]) -> str:
    return "the classes are " + ", ".join(f"{i} {name!r}" for i, name in enumerate(classes))

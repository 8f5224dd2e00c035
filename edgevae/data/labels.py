"""Labels: the classes that callers ask a conditional decoder for.

The decoder's input `y` has a class number for each row, int64 (n,); the manifest's `classes` names
the classes in the order of their numbers. A label is a number, or a name in any case.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edgevae import checks
from edgevae.errors import InputError, show

ClassNumbers = npt.NDArray[np.int64]
Label = int | str
Labels = Label | Sequence[Label] | npt.NDArray[np.integer]


def classes_in_turn(classes: Sequence[str], n: int, start: int) -> ClassNumbers | None:
    """Return the class numbers of rows start .. start + n - 1 if the caller passes no labels.

    Row i has class i modulo the number of classes. None for a bundle without classes.
    """
    if not classes:
        return None
    try:
        rows = np.arange(n, dtype=np.uint64) + np.uint64(start & checks.LAST)  # wraps as rows do
    except (MemoryError, ValueError) as error:
        raise checks.too_many(n, "n", error) from error
    return (rows % np.uint64(len(classes))).astype(np.int64)


def class_numbers(labels: Labels | None, classes: Sequence[str], n: int) -> ClassNumbers | None:
    """Return the class number of each of n rows, int64 (n,).

    `labels` is one label for all rows, or one for each row. None for a bundle without classes.
    Raises `InputError` if labels are missing, if there are too many or too few, for an unknown
    class, and for labels that a bundle without classes cannot use.
    """
    if not classes:
        if labels is not None:
            raise InputError(
                f"labels: expected none, since this bundle has no classes, got {show(labels)}; "
                f"leave labels out, or load one that was trained with --conditional"
            )
        return None
    if labels is None:
        raise InputError(f"labels: expected a class for each row, got none; {_listed(classes)}")
    if isinstance(labels, np.ndarray):
        if labels.shape not in ((), (n,)):
            raise _miscounted(n, f"shape {labels.shape}")
        labels = labels.tolist()
    if isinstance(labels, (str, bytes, memoryview)) or not isinstance(labels, Sequence):
        number = _number(labels, classes)
        y: ClassNumbers = checks.output_array((n,), "int64")
        y.fill(number)
        return y
    if len(labels) != n:
        raise _miscounted(n, str(len(labels)))
    return np.array([_number(label, classes) for label in labels], np.int64)


def _miscounted(n: int, got: str) -> InputError:
    return InputError(f"labels: expected one label, or {n}, one for each row, got {got}")


def _number(label: object, classes: Sequence[str]) -> int:
    folded = [name.casefold() for name in classes]
    if isinstance(label, str) and label.casefold() in folded:
        return folded.index(label.casefold())
    if isinstance(label, (int, np.integer)) and not isinstance(label, bool):
        number = int(label)
        if 0 <= number < len(classes):
            return number
    raise InputError(
        f"labels: expected a class, by number or name, got {show(label)}; {_listed(classes)}"
    )


def _listed(classes: Sequence[str]) -> str:
    return "the classes are " + ", ".join(f"{i} {name!r}" for i, name in enumerate(classes))

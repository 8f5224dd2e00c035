"""The rows of a table as items: a vector each, or windows that are cut from a signal's steps."""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np

from edgevae.bundle import Bundle
from edgevae.files.batches import Batch
from edgevae.files.tables import Notify, Row


def items(
    rows: Iterable[Row], bundle: Bundle, size: int, notify: Notify, *, disjoint: bool = False
) -> Iterator[Batch]:
    """Yield rows as batches of `size` items; the steps of a signal become windows.

    `disjoint` is as in `windows`.
    """
    rows = windows(rows, bundle, notify, disjoint=disjoint) if bundle.data.window else rows
    remaining = iter(rows)
    while batch := list(islice(remaining, size)):
        x = np.stack([row.values.reshape(bundle.x_shape) for row in batch])
        yield Batch([row.id for row in batch], x)


def windows(
    rows: Iterable[Row], bundle: Bundle, notify: Notify, *, disjoint: bool = False
) -> Iterator[Row]:
    """Yield windows of a signal's steps, with the ids of their first and last steps.

    Windows begin the manifest's stride apart; without a stride, or if they should be `disjoint`,
    no two share a step. A row that is a whole window stays one, and a step with the number 0 begins
    a window. `notify` is called once, with the first step that the stride leaves out.
    """
    length = bundle.x_shape[1]
    stride = length if disjoint or not bundle.stride else bundle.stride
    steps: deque[Row] = deque(maxlen=length)
    needed, noted = length, False  # steps until the next window is complete
    for row in rows:
        if row.values.shape == bundle.x_shape:
            yield row
            continue
        if row.step == 0:
            steps.clear()
            needed = length
        if needed > length and not noted:
            notify(
                f"{row.where}: windows of {length} steps begin {stride} steps apart: the "
                f"{stride - length} steps between them are left out"
            )
            noted = True
        steps.append(row)
        needed -= 1
        if needed == 0:
            x = np.stack([step.values for step in steps], axis=1)
            own_id = row.id if steps[0].id == row.id else f"{steps[0].id}-{row.id}"
            yield Row(row.where, own_id, x)
            needed = stride

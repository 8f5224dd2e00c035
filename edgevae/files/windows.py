"""The rows of a table as items: a vector each, or windows that are cut from a signal's steps."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from edgevae.bundle import Bundle
from edgevae.files.batches import Batch
from edgevae.files.tables import Notify, Row


@dataclass
class Tally:
    """The number of steps that were read, of those that a window holds, and of windows."""

    steps: int = 0
    used: int = 0
    windows: int = 0


def items(
    rows: Iterable[Row],
    bundle: Bundle,
    size: int,
    notify: Notify,
    tally: Tally,
    *,
    disjoint: bool = False,
) -> Iterator[Batch]:
    """Yield rows as batches of `size` items; the steps of a signal become windows.

    `tally` and `disjoint` are as in `windows`.
    """
    if bundle.data.window:
        rows = windows(rows, bundle, notify, tally, disjoint=disjoint)
    remaining = iter(rows)
    while batch := list(islice(remaining, size)):
        x = np.stack([row.values.reshape(bundle.x_shape) for row in batch])
        yield Batch([row.id for row in batch], x)


def windows(
    rows: Iterable[Row],
    bundle: Bundle,
    notify: Notify,
    tally: Tally,
    *,
    disjoint: bool = False,
) -> Iterator[Row]:
    """Yield windows of a signal's steps, with the ids of their first and last steps.

    Windows begin the manifest's stride apart; without a stride, or if they should be `disjoint`,
    no two share a step. A row that is a whole window stays one, and a step with the number 0 begins
    a window. `tally` is increased. `notify` is called with the first step that the stride leaves
    out, and at the end with the number of steps that are in no window.
    """
    length = bundle.x_shape[1]
    stride = length if disjoint or not bundle.stride else bundle.stride
    steps: deque[Row] = deque(maxlen=length)
    needed, noted = length, False  # steps until the next window is complete
    unused = 0  # of the steps in the deque
    read = used = 0
    where = ""
    for row in rows:
        if row.values.shape == bundle.x_shape:
            tally.windows += 1
            yield row
            continue
        if row.step == 0:
            steps.clear()
            needed, unused = length, 0
        if needed > length and not noted:
            notify(
                f"{row.where}: windows of {length} steps begin {stride} steps apart: the "
                f"{stride - length} steps between them are left out"
            )
            noted = True
        steps.append(row)
        where = row.where
        needed, unused, read = needed - 1, unused + 1, read + 1
        if needed == 0:
            x = np.stack([step.values for step in steps], axis=1)
            own_id = row.id if steps[0].id == row.id else f"{steps[0].id}-{row.id}"
            needed, used, unused = stride, used + min(unused, length), 0
            tally.windows += 1
            yield Row(row.where, own_id, x)
    tally.steps += read
    tally.used += used
    if used < read:
        notify(
            f"{where}: {read - used} of {read} steps are in no window and are left out, as windows "
            f"have {length} steps and begin {stride} apart"
        )

"""Windows of time series, and a split of their time into training and held-out parts.

Windows that overlap are nearly the same item, so that a random split would hold out items that are
also trained on. Time is split in blocks instead, with a gap of a window's length on either side.
"""

import itertools

import numpy as np
from numpy.typing import NDArray

from edgevae.errors import InputError

Doubles = NDArray[np.float64]
Interval = tuple[int, int]  # the first step, and the step after the last

PIECE = 100  # in windows: a tenth of each such piece of a run is held out, as one block
SERIES = 10  # from this number of runs on, complete runs are held out


def split(
    runs: list[Doubles], window: int, stride: int, seed: int
) -> tuple[list[Doubles], list[Doubles]]:
    """Cut runs (T, C) into windows (N, C, window), `stride` steps apart, to train on and hold out.

    A tenth of the time is held out: one block of each run, or of each PIECE windows of it, at a
    place chosen by `seed`; of SERIES runs or more, a tenth of the runs. No window crosses the end
    of a run, and no training window contains a held-out step or one of the `window` steps next to
    it. Raises `InputError` if the runs are too short.
    """
    long = [run for run in runs if len(run) >= window]
    if not long:
        raise InputError(
            f"expected a run of at least {window} steps, one window, the longest has "
            f"{max(map(len, runs), default=0)}: pass a shorter --window"
        )
    rng = np.random.default_rng(seed)
    if len(long) >= SERIES:
        held_out = set(rng.permutation(len(long))[: len(long) // 10])
        parts = [
            ([], [(0, len(run))]) if i in held_out else ([(0, len(run))], [])
            for i, run in enumerate(long)
        ]
    else:
        parts = [blocks(len(run), window, rng) for run in long]
    train, test = (
        [
            cut(run[first:last], window, stride)
            for run, part in zip(long, parts, strict=True)
            for first, last in part[side]
        ]
        for side in (0, 1)
    )
    if not any(map(len, train)) or not any(map(len, test)):
        raise InputError(
            f"expected runs whose time can be split in two with a gap of {window} steps, got "
            f"{', '.join(str(len(run)) for run in runs[:5])} steps: use longer runs, or a "
            f"shorter --window than {window}"
        )
    return train, test


def blocks(
    steps: int, window: int, rng: np.random.Generator
) -> tuple[list[Interval], list[Interval]]:
    """Return the intervals of a run to train on, and those to hold out.

    Nothing is held out of a run of fewer than five windows.
    """
    if steps < 5 * window:
        return [(0, steps)], []
    pieces = max(1, steps // (PIECE * window))
    edges = np.linspace(0, steps, pieces + 1).astype(int)
    held_out = []
    for low, high in itertools.pairwise(edges.tolist()):
        block = max(window, (high - low) // 10)
        first = int(rng.integers(low, high - block + 1))
        held_out.append((first, first + block))
    ends = [0, *(end + window for _, end in held_out)]
    starts = [*(first - window for first, _ in held_out), steps]
    return [(a, b) for a, b in zip(ends, starts, strict=True) if b - a >= window], held_out


def cut(run: Doubles, window: int, stride: int) -> Doubles:
    """Return the windows (N, C, window) of a run (T, C), `stride` steps apart."""
    return np.lib.stride_tricks.sliding_window_view(run, window, axis=0)[::stride]

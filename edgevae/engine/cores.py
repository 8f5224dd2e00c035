"""Keep the threads that share one call on different cores.

Linux may start a woken thread on the core of the thread that woke it, even if other cores are
idle, and does so often on virtual machines. The two then take turns: on two cores, calls on two
threads took up to 2.5 times as long as calls on one. onnxruntime's own choice of the number of
threads assigns each of them to a core, but a number that is asked for does not.
"""

import contextlib
import os
from collections.abc import Iterable

from edgevae import _core

# Only Linux tells which cores a thread may use, and lets it be changed.
_LINUX = hasattr(os, "sched_setaffinity")


def affinities(threads: int) -> str:
    """Return onnxruntime's setting that assigns each thread of a session to its own core.

    The session has `threads` threads, one of which is the caller's and stays free to move. The
    result is "" unless that is the number of all cores that this process may use: if there are
    more, the system is better at avoiding the cores that other processes use.
    """
    if not _LINUX:
        return ""
    _, *others = sorted(os.sched_getaffinity(0))
    # onnxruntime counts cores from 1.
    return ";".join(str(core + 1) for core in others) if len(others) == threads - 1 else ""


def keep_off(core: int, threads: Iterable[int]) -> None:
    """Let threads, by their native identifiers, run on the caller's cores except one.

    Nothing changes if the caller may use only that core.
    """
    cores = os.sched_getaffinity(0) - {core}
    if not cores:
        return
    for thread in threads:
        with contextlib.suppress(OSError):  # the process may have lost a core since then
            os.sched_setaffinity(thread, cores)


def current() -> int | None:
    """Return the core that runs the caller; None if threads cannot be assigned to cores here."""
    return _core.current_core() if _LINUX else None

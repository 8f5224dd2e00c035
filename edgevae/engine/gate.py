"""Keep the process from ending while one of its threads is inside onnxruntime.

At exit, Python before 3.14 ends each daemon thread when it next asks for the interpreter. A thread
that comes back from onnxruntime would unwind frames of C++ that let no exception through, which
aborts the process. So every run of a graph passes `enter` and `leave`. At exit the gate closes: a
thread that enters then sleeps until the process is gone, and the exit waits for those inside.

A thread that enters at exit may be one on which the main thread depends: `is_open` says whether
work may still be handed to other threads.
"""

import atexit
import os
import threading
import time
from collections.abc import Callable

# Seconds for which the exit waits for the threads inside. A run that takes longer is abandoned.
_PATIENCE = 5.0

# One item for each run. `append` and `pop` are atomic, so there is no lock that a fork could copy.
_inside: list[None] = []

enter: Callable[[None], None] = _inside.append
leave: Callable[[], None] = _inside.pop


def is_open() -> bool:
    """Return True until the process ends."""
    return enter == _inside.append


def _close() -> None:
    """Let no further thread enter, and wait for those inside."""
    global enter
    enter = _enter_at_exit
    deadline = time.monotonic() + _PATIENCE
    while _inside and time.monotonic() < deadline:
        time.sleep(0.001)


def _enter_at_exit(none: None) -> None:
    """Let the main thread enter, which runs what was registered before; other threads sleep."""
    _inside.append(none)
    if threading.current_thread() is not threading.main_thread():
        _inside.pop()
        closed = threading.Lock()
        closed.acquire()
        closed.acquire()


# Handlers run in reverse order: those that are registered later, such as a Batcher's, come first.
atexit.register(_close)

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_inside.clear)

"""End a command by a signal without a traceback, a draft of a file or a wrong message.

Ctrl-C, and a request to end (SIGTERM) or the loss of the terminal (SIGHUP), raise KeyboardInterrupt
in the main thread, whose blocks then clean up. There are places from which that exception does not
come through: an import (modules in C turn it into an ImportError), and destructors, which print a
traceback and go on. A signal there, and a second one, end the process at once.
"""

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any, NoReturn

INTERRUPTED = 130  # as a shell reports SIGINT
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")

# What is called before the process ends at once.
before_end: list[Callable[[], None]] = []

_received: list[int] = []


def run(command: Callable[[], int]) -> int:
    """Run a command of the whole process, and return its exit code.

    A signal that the process was started to ignore, as by `nohup`, stays ignored. After SIGTERM or
    SIGHUP, the process ends by that signal.
    """
    try:
        numbers = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
        numbers = [each for each in numbers if signal.getsignal(each) is not signal.SIG_IGN]
        for number in numbers:
            signal.signal(number, _interrupt)
        sys.unraisablehook = _report_unraisable
        try:
            code = command()
        finally:
            for number in numbers:  # what remains is to end, which a signal may cut short
                signal.signal(number, signal.SIG_DFL)
    except KeyboardInterrupt:  # outside of the command itself
        _end(_received[0] if _received else signal.SIGINT)
    if _received and _received[0] != signal.SIGINT:
        _end_by(_received[0])
    return code


def _interrupt(number: int, frame: FrameType | None) -> None:
    _received.append(number)
    if len(_received) > 1 or _is_importing(frame):
        _end(number)
    raise KeyboardInterrupt


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


def _report_unraisable(unraisable: Any) -> None:
    """Take over an interrupt that Python would print and forget, as in a destructor."""
    if isinstance(unraisable.exc_value, KeyboardInterrupt):
        _end(_received[0] if _received else signal.SIGINT)
    sys.__unraisablehook__(unraisable)


def _end(number: int) -> NoReturn:
    """End the process at once."""
    for clean_up in before_end:
        clean_up()
    if number != signal.SIGINT:
        _end_by(number)
    with suppress(OSError):  # if standard error is closed or full
        os.write(2, b"edgevae: interrupted\n")
    os._exit(INTERRUPTED)


def _end_by(number: int) -> NoReturn:
    """End the process by a signal, so that its parent sees which."""
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)
    os._exit(128 + number)

"""The standard streams of a process, some of which may be closed, full or without a reader."""

import os
import sys

from edgevae.errors import InputError


def open_closed() -> None:
    """Open each standard stream that is closed, so that no other file takes its descriptor.

    Reading from the new standard input and writing to the new standard output fails with an
    OSError; what is written to the new standard error is lost.
    """
    for number, name, access, mode in (
        (0, "stdin", os.O_WRONLY, "r"),
        (1, "stdout", os.O_RDONLY, "w"),
        (2, "stderr", os.O_WRONLY, "w"),
    ):
        if getattr(sys, name) is None:
            _open_null(number, access)
            setattr(sys, name, os.fdopen(number, mode, closefd=False))


def write(text: str) -> None:
    """Write text to standard output and flush what it holds.

    Raises InputError if it cannot be written, and BrokenPipeError if its reader has gone.
    """
    try:
        if text:  # because writing even nothing to a full disk fails
            sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise InputError(
            f"cannot write standard output: {error.strerror}; free some space or redirect it to "
            f"another file"
        ) from error


def discard_unwritten() -> None:
    """Discard buffered output that cannot be written.

    Python would otherwise try again at exit and end the process with code 120.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            _open_null(stream.fileno(), os.O_WRONLY)


def _open_null(number: int, access: int) -> None:
    """Make the descriptor `number` refer to the null device."""
    null = os.open(os.devnull, access)
    if null != number:
        os.dup2(null, number)
        os.close(null)

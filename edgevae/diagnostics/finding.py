"""A finding of `edgevae doctor`, and the reason why a process of its own failed."""

import signal
import subprocess
from typing import NamedTuple

OK, NOTE, PROBLEM = "ok", "note", "problem"

# The exit status on Windows of a process that an illegal instruction ended.
_ILLEGAL_INSTRUCTION = 0xC000001D


class Finding(NamedTuple):
    """One examined topic.

    `level` is OK, NOTE for something that works but could be better or is unusual, or PROBLEM, for
    which `fix` states what to do. `says` is the description.
    """

    level: str
    topic: str
    says: str
    fix: str = ""

    def __str__(self) -> str:
        line = f"{self.level:<8} {self.topic}: {self.says}"
        return f"{line}\n{'':<8} -> {self.fix}" if self.fix else line


def illegal_instruction(done: "subprocess.CompletedProcess[str]") -> bool:
    """Return True if a process was ended by an instruction that the processor does not have."""
    return done.returncode in (-getattr(signal, "SIGILL", 4), _ILLEGAL_INSTRUCTION)


def reason(done: "subprocess.CompletedProcess[str]") -> tuple[str, str]:
    """Return the reason why a process failed, and the fix, "" if its last line states none."""
    if done.returncode < 0:
        return f"the process was ended by {signal.Signals(-done.returncode).name}", ""
    lines = done.stderr.strip().splitlines() or [f"the process ended with {done.returncode}"]
    line = lines[-1].partition("edgevae.errors.ProviderError: ")[2] or lines[-1]
    text, _, fix = line.removeprefix("edgevae: ").partition("; ")
    return text, fix

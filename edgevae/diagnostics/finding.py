"""A finding of `edgevae doctor`, of an import too, and the reason why a process failed."""

import signal
import subprocess
from typing import NamedTuple

from edgevae.diagnostics.fresh_process import run_python

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


def of_import(topic: str, code: str, needs: str, other_version: str, reinstall: str) -> Finding:
    """Return the finding of an import, which a fresh process tries by `code`.

    `code` prints the version. For an import that ends by an illegal instruction, `needs` says why
    and `other_version` what to do; `reinstall` is for other failures that state no fix.
    """
    done = run_python("-c", code)
    if not done.returncode:
        return Finding(OK, topic, done.stdout.strip())
    if _illegal_instruction(done):
        says = f"its import is ended by an illegal instruction: {needs}"
        return Finding(PROBLEM, topic, says, other_version)
    says, fix = reason(done)
    return Finding(PROBLEM, topic, says, fix or reinstall)


def _illegal_instruction(done: "subprocess.CompletedProcess[str]") -> bool:
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

"""Run Python in a fresh process, which finds the edgevae that this process runs."""

import os
import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).absolute().parents[2]


def run_python(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run `python ARGUMENTS` to its end and return its exit status and what it printed.

    `variables` are added to the environment. The working directory and the folder of a script are
    not on its path (-P), so that their files cannot shadow modules. The process may write bytecode,
    as an installed package has it: otherwise each one would compile edgevae again.
    """
    paths = [str(_ROOT), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, **variables, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return subprocess.run(
        [sys.executable, "-P", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

"""Run the command line in a process of its own, and read the pictures that it writes."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[1]


def environment(**variables: str) -> dict[str, str]:
    """Return the environment of a child process: this one's, without PYTHONUNBUFFERED."""
    inherited = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    return inherited | {"PYTHONPATH": str(ROOT)} | variables


def edgevae(*arguments: str, **options) -> subprocess.CompletedProcess:
    """Run `edgevae` with these arguments; its standard output and error are captured."""
    command = [sys.executable, "-m", "edgevae", *arguments]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": environment()} | options
    return subprocess.run(command, check=False, **options)


def pixels(path) -> np.ndarray:
    """Return the pixels of a picture file, uint8 (H, W) or (H, W, C)."""
    with Image.open(path) as image:
        return np.asarray(image)

"""Files of tensors: written completely or not at all, and read without running code from them."""

import pickle
from pathlib import Path
from typing import Any

import torch

from edgevae import atomic
from edgevae.errors import InputError


def write(path: Path, content: Any) -> None:
    """Write `content`, whose leaves are tensors, numbers and strings, to `path`."""
    with atomic.create(path, durable=True) as file:
        torch.save(content, file)


def read(path: Path) -> Any:
    """Return the content of a file of tensors, on the CPU.

    Raises `FileNotFoundError` if there is no such file, and `InputError` if it is something else.
    """
    if not path.is_file():
        raise FileNotFoundError(f"expected a checkpoint, found no file {path}")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise InputError(
            f"expected a checkpoint of `python -m train`, such as runs/mine/last.pt, got {path}, "
            "which is another kind of file or is damaged"
        ) from error

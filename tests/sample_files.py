"""Bundles, items and files that the tests of edgevae.files read and write."""

import io
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from tiny import Tiny

from edgevae import files
from edgevae.data import Features

GREY = Tiny("image", (1, 8, 8), (0.0, 1.0), (4,))
VECTOR = Tiny("vector", (3,), None, (2,))
SIGNAL = Tiny("signal", (2, 4), None, (3,))
NAMED = Features(("heat", "load", "speed"), (0.0,) * 3, (1.0,) * 3)
UNIT = (0.0, 1.0)


def items(inputs: files.Inputs) -> np.ndarray:
    """Return all items of a verb's inputs."""
    return np.concatenate(list(inputs.batches))


def feed(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    """Put data on standard input."""
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))


def pictures(count: int, size: tuple[int, int] = (8, 8)) -> np.ndarray:
    """Write grey PNG files of random pixels to images/, and return the pixels."""
    rng = np.random.default_rng(count)
    pixels = rng.integers(0, 256, (count, size[1], size[0]), np.uint8)
    Path("images").mkdir(exist_ok=True)
    for i, picture in enumerate(pixels):
        Image.fromarray(picture).save(f"images/{i:03d}.png")
    return pixels


def images(rows: int, channels: int = 1, height: int = 5, width: int = 3) -> np.ndarray:
    """Return random images, float32 (rows, channels, height, width) in [0, 1]."""
    rng = np.random.default_rng(rows)
    return rng.random((rows, channels, height, width), dtype=np.float32)


def in_batches(x: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Return an iterator of the rows of x, `size` at a time."""
    return (x[i : i + size] for i in range(0, len(x), size))


def never() -> Iterator[np.ndarray]:
    """Return batches that fail the test if a writer asks for the first."""
    raise AssertionError("work was begun for an output that cannot be written")
    yield

"""A copy of a bundle for tests that change it, and the contents of a bundle."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def copy(tiny_paths, tmp_path):
    """A copy of the bundle grey, which a test may change."""
    return Path(shutil.copytree(tiny_paths["grey"], tmp_path / "copy"))


@pytest.fixture
def contents():
    """A function that returns the content of each file in a folder, by name."""
    return lambda folder: {path.name: path.read_bytes() for path in folder.iterdir()}

"""A copy of a bundle for tests that change it."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def copy(tiny_paths, tmp_path):
    """A bundle of its own for a test to spoil."""
    return Path(shutil.copytree(tiny_paths["grey"], tmp_path / "copy"))

"""A copy of a bundle for tests that change it."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def copy(tiny_paths, tmp_path):
    """A copy of the bundle grey, which a test may change."""
    return Path(shutil.copytree(tiny_paths["grey"], tmp_path / "copy"))

"""The bundles and the files that tests of the command line work on."""

from pathlib import Path

import pytest

from edgevae import cli


@pytest.fixture
def grey(tiny_paths, tmp_path, monkeypatch) -> str:
    """A bundle of 8 x 8 images that denoises; the current folder is an empty one."""
    monkeypatch.chdir(tmp_path)
    return str(tiny_paths["grey"])


@pytest.fixture
def files(grey) -> list[str]:
    """Five images of the bundle grey in the folder images/, their names not in their order."""
    assert cli.main(["generate", "5", "--seed", "1", "--model", grey, "--out", "images/"]) == 0
    return sorted(map(str, Path("images").iterdir()))

"""A calibrated bundle for the verbs that calibrate and score."""

from pathlib import Path

import numpy as np
import pytest

from edgevae import cli
from edgevae.data import Features


@pytest.fixture
def judge(tinies, tmp_path, monkeypatch) -> str:
    """A calibrated bundle of vectors with named features; the current folder is an empty one."""
    monkeypatch.chdir(tmp_path)
    names = Features(("a", "b", "c", "d", "e"), (0.0,) * 5, (1.0,) * 5)
    tinies["vector"].write(Path("model"), features=names)
    rng = np.random.default_rng(0)
    np.save("normals.npy", rng.standard_normal((400, 5)).astype(np.float32))
    command = ["calibrate", "model", "--data", "normals.npy", "--out", "judge", "--alpha", "0.05"]
    assert cli.main(command) == 0
    return "judge"

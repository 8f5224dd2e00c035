"""Fixtures of all tests: tiny bundles, each kernel in turn, and what this environment can run."""

import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from tiny import TINIES, Tiny

from edgevae import _core
from edgevae.engine import tuned
from edgevae.vae import VAE, load

HERE = Path(__file__).parent

# Hypothesis draws the same examples in every run, so that a change is judged by what it changes.
# The nightly workflow draws others, by --hypothesis-profile=default.
settings.load_profile("ci")

# Folders of tests, the marker that leaves them out, and a package without which they cannot run.
LANES = {
    HERE / "train": ("train", "torch"),
    HERE / "benchmarks": ("train", "torch"),
    HERE / "compiler": ("compiler", "onnx"),
}


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out folders that cannot run, and those that `-m "not MARKER"` would deselect.

    Their modules import PyTorch and onnx, which takes seconds.
    """
    if collection_path not in LANES:
        return None
    marker, package = LANES[collection_path]
    deselected = f"not {marker}" in config.getoption("markexpr").split(" and ")
    return True if deselected or not find_spec(package) else None


def pytest_report_header() -> list[str]:
    return [
        f"skipped: tests/{folder.name}, since {package} is not installed"
        for folder, (_, package) in LANES.items()
        if not find_spec(package)
    ]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for folder, (marker, _) in LANES.items():
            if folder in item.path.parents:
                item.add_marker(marker)


@pytest.fixture
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of caches."""
    monkeypatch.setattr(tuned, "_caches", lambda: tmp_path / "caches")
    return tmp_path / "caches"


@pytest.fixture(autouse=True, scope="session")
def hear_interrupts() -> None:
    """Accept interrupts, which a shell lets processes in the background ignore."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def tinies() -> dict[str, Tiny]:
    return TINIES


@pytest.fixture(scope="session")
def tiny_paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A bundle of each tiny VAE: "grey", "colour" (in [-1, 1], z of two axes), "vector"
    and "classes" (of three classes)."""
    folder = tmp_path_factory.mktemp("bundles")
    return {name: tiny.write(folder / name).path for name, tiny in TINIES.items()}


@pytest.fixture(scope="session")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A .npy file of eighty images of one bright square each."""
    path = tmp_path_factory.mktemp("data") / "squares.npy"
    rng = np.random.default_rng(0)
    images = np.zeros((80, 8, 8), np.uint8)
    for image, (row, column) in zip(images, rng.integers(0, 5, (80, 2)), strict=True):
        image[row : row + 3, column : column + 3] = 255
    np.save(path, images)
    return path


@pytest.fixture
def cut_off(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], AbstractContextManager[None]]:
    """`with cut_off(stage):` interrupts training when that stage's first checkpoint is written."""

    @contextmanager
    def interrupted(stage: str) -> Iterator[None]:
        from train.model.checkpoint import Checkpoint

        save = Checkpoint.save

        def save_and_die(checkpoint, path):
            save(checkpoint, path)
            if getattr(checkpoint, stage) is not None:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(Checkpoint, "save", save_and_die)
            with pytest.raises(KeyboardInterrupt):
                yield

    return interrupted


@pytest.fixture(params=_core.kernels()["available"])
def kernel(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each kernel that runs on this CPU in turn; the active one is restored afterwards."""
    before = _core.kernels()["active"]
    _core.use_kernel(request.param)
    yield request.param
    _core.use_kernel(before)


@pytest.fixture
def flat(tinies: dict[str, Tiny], tmp_path: Path) -> VAE:
    """A bundle of images whose latent has two dimensions."""
    tiny = replace(tinies["grey"], latent_shape=(2,), components=3)
    return load(tiny.write(tmp_path / "flat").path)

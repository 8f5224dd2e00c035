"""Run the aarch64 wheel as a Raspberry Pi does, under qemu, and compare it with this machine.

    tests/device/make_root FOLDER
    EDGEVAE_AARCH64=FOLDER python -m pytest tests/device -m "not nightly"      a minute
    EDGEVAE_AARCH64=FOLDER python -m pytest tests/device                       8 minutes

Without the variable all of it is skipped. The wheel in FOLDER must be of this checkout: run
make_root again after a change. Emulation shows that the results are right; it cannot show how long
they take on a board.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import edgevae
from edgevae import bundle, packing

HERE = Path(__file__).parent
FOLDER = os.environ.get("EDGEVAE_AARCH64", "")
CORES = "a53", "a72", "a76"  # Raspberry Pi 3, 4 and 5; the first two have no dot product
QUICK = "a72"
INT8_PSNR = 50.0  # dB between int8 of two machines, which may round differently

if not FOLDER:
    pytest.skip(
        "EDGEVAE_AARCH64 names no folder of tests/device/make_root", allow_module_level=True
    )

Run = Callable[..., subprocess.CompletedProcess[bytes]]
Results = dict[str, np.ndarray]


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(core, marks=[] if core == QUICK else pytest.mark.nightly) for core in CORES
    ],
)
def core(request: pytest.FixtureRequest) -> str:
    """The type of the emulated core."""
    return request.param


@pytest.fixture
def python(core: str, tmp_path: Path) -> Run:
    """Run the emulated Python in a folder and a home of its own; require an exit code."""

    def run(*arguments: str, code: int = 0) -> subprocess.CompletedProcess[bytes]:
        command = [str(Path(FOLDER).absolute() / f"python-{core}"), *arguments]
        home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
        done = subprocess.run(
            command, capture_output=True, env=os.environ | home, cwd=tmp_path, check=False
        )
        assert done.returncode == code, (done.stdout + done.stderr).decode()
        return done

    return run


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """What this machine computes."""
    path = tmp_path_factory.mktemp("here") / "results.npz"
    subprocess.run([sys.executable, HERE / "results.py", path], check=True)
    return dict(np.load(path))


@pytest.fixture(scope="module")
def there(core: str, tmp_path_factory: pytest.TempPathFactory) -> Results:
    """What the emulated machine computes."""
    path = tmp_path_factory.mktemp(core) / "results.npz"
    command = [Path(FOLDER).absolute() / f"python-{core}", HERE / "results.py", path]
    subprocess.run(command, check=True)
    return dict(np.load(path))


def test_kernels_and_latents_are_equal_to_the_bit(here: Results, there: Results) -> None:
    assert list(there) == list(here)
    frozen = [name for name in here if name.startswith("bits/")]
    assert {name.split("/")[1] for name in frozen} == {"scalar", "vector", "fashion", "names"}
    for name in frozen:
        assert there[name].tobytes() == here[name].tobytes(), name


@pytest.mark.parametrize("model", ["fashion", "names"])
def test_float32_is_within_the_tolerance(here: Results, there: Results, model: str) -> None:
    tolerance = bundle.read(bundle.find(model)).tolerance
    names = [name for name in here if name.startswith(f"float32/{model}/")]
    compared = [name for name in names if "denoised" not in name]
    assert len(compared) == 5
    for name in compared:
        np.testing.assert_allclose(there[name], here[name], rtol=0, atol=tolerance, err_msg=name)


def test_denoised_images_are_within_the_tolerance(here: Results, there: Results) -> None:
    tolerance = bundle.read(bundle.find("fashion")).tolerance
    names = [name for name in here if "/denoised" in name]
    assert len(names) == 4
    for name in names:
        np.testing.assert_allclose(there[name], here[name], rtol=0, atol=tolerance, err_msg=name)


def test_generated_pixels_are_equal(here: Results, there: Results) -> None:
    ours, theirs = (packing.pack(each["float32/fashion/x_hat"]) for each in (here, there))
    assert np.abs(ours.astype(int) - theirs).max() <= 1
    assert (ours != theirs).mean() < 1e-3


def test_int8_is_near(here: Results, there: Results) -> None:
    for name in ("x_hat", "reconstruction"):
        ours, theirs = (each[f"int8/fashion/{name}"] for each in (here, there))
        error = np.mean((ours - theirs) ** 2)
        assert error == 0 or -10 * np.log10(error) > INT8_PSNR, name


def test_the_shipped_images_verify(python: Run) -> None:
    report = json.loads(python("-m", "edgevae", "verify", "fashion", "--json").stdout)
    assert report["stream"] is True
    assert report["failed"] == []
    used = [graph for graph in report["graphs"] if graph["in_use"]]
    assert {name for graph in used for name in graph["differences"]} == {"mu", "logvar", "x_hat"}


@pytest.mark.nightly
def test_the_names_and_int8_verify(python: Run) -> None:
    python("-m", "edgevae", "verify", "names")
    python("-m", "edgevae", "verify", "fashion", "--precision", "int8")  # exit code 6 if it fails


def test_generate_on_the_command_line(python: Run, tmp_path: Path) -> None:
    options = "--seed", "7", "--dtype", "uint8", "--out", "x.npy"
    python("-m", "edgevae", "generate", "5", *options)
    x, ours = np.load(tmp_path / "x.npy"), edgevae.generate(5, seed=7, dtype="uint8")
    assert (x.shape, x.dtype) == (ours.shape, ours.dtype)
    assert np.abs(ours.astype(int) - x).max() <= 1


@pytest.mark.nightly
def test_encode_and_score_on_the_command_line(python: Run, tmp_path: Path) -> None:
    x = edgevae.generate(4, seed=9)
    np.save(tmp_path / "x.npy", x)
    python("-m", "edgevae", "encode", "x.npy", "--out", "latents.npz")
    expected = edgevae.load("fashion").encode(x)
    with np.load(tmp_path / "latents.npz") as latents:
        np.testing.assert_allclose(latents["mu"], expected.mu, atol=1e-4)
    lines = python("-m", "edgevae", "score", "x.npy", "--json").stdout.splitlines()
    values = [json.loads(line)["value"] for line in lines]
    np.testing.assert_allclose(values, edgevae.load("fashion").score(x).values, atol=1e-4)
    (tmp_path / "names.txt").write_text("Marie\nxqzkvw\n")
    scored = python("-m", "edgevae", "score", "names.txt", "--model", "names", "--json", code=10)
    flags = [json.loads(line)["anomaly"] for line in scored.stdout.splitlines()]
    assert flags == [False, True]


@pytest.mark.nightly
def test_doctor_examines_the_machine_and_its_child_processes(python: Run) -> None:
    findings = json.loads(python("-m", "edgevae", "doctor", "--json").stdout)
    by_topic = {finding["topic"]: finding for finding in findings}
    assert {finding["level"] for finding in findings} == {"ok"}
    assert by_topic["kernel"]["says"].startswith("neon")
    assert {"fashion on cpu", "names on cpu"} <= set(by_topic)


@pytest.mark.nightly
def test_tune_writes_a_file(python: Run) -> None:
    arguments = "tune", "names", "--seconds", "0.5", "--threads", "1", "--json"
    report = json.loads(python("-m", "edgevae", *arguments).stdout)
    assert Path(report["file"]).is_file()
    python("-m", "edgevae", "generate", "1", "--model", "names", "--threads", "1")

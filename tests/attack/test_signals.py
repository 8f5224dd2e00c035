"""Signals at random moments: no traceback, no wrong message, nothing half-written."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from attacks import CASES
from command_line import environment

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")

# Says when the signals are heard. Before, they reach Python itself, which prints a traceback.
CODE = """
import os, sys
from edgevae import __main__, interrupts
ready = int(sys.argv.pop(1))

def command():
    os.write(ready, b".")
    return __main__._command()

sys.exit(interrupts.run(command))
"""

READS = {
    "generate": ["generate", "20000", "--seed", "7", "--model", "MODEL", "--out", "-"],
    "score": ["score", "x.npy", "--model", "MODEL", "--method", "recon"],
    "info": ["info"],
    "verify": ["verify", "MODEL"],
}
WRITES = {
    name: ["generate", rows, "--seed", "7", "--model", "MODEL", "--out", name]
    for name, rows in {
        "y.npy": "50000",
        "y.npz": "50000",
        "y.csv": "500",
        "y.parquet": "500",
        "y.png": "5000",
        "y.gif": "300",
        "y/": "500",
    }.items()
    if find_spec("pyarrow") or name != "y.parquet"
} | {
    "y.txt": ["generate", "5000", "--seed", "7", "--model", "names", "--out", "y.txt"],
    "calibrated": ["calibrate", "MODEL", "--data", "x.npy", "--out", "calibrated"],
    "tune": ["tune", "MODEL", "--seconds", "0.2"],
}
if find_spec("onnx"):
    WRITES["compiled"] = ["compile", "MODEL", "--out", "compiled"]
SLOW = ("tune", "compiled")  # left out of the quick attack


@pytest.fixture
def folder(tiny_paths, tmp_path, monkeypatch) -> Path:
    """The working folder of the commands, with `x.npy` and the bundle MODEL."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny_paths["grey"], "MODEL")
    np.save("x.npy", np.random.default_rng(0).random((300, 1, 8, 8), np.float32))
    return tmp_path


def run(command: list[str], number: int = 0, after: float = 0.0) -> tuple[int, str, float]:
    """Run a command and send a signal after some seconds; return its code, errors and seconds."""
    reading, writing = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, str(writing), *command],
        env=environment(XDG_CACHE_HOME=os.path.abspath("caches")),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        pass_fds=[writing],
    )
    os.close(writing)
    with open(reading, "rb") as ready:
        ready.read(1)
    start = time.monotonic()
    if number:
        time.sleep(after)
        process.send_signal(number)
    _, errors = process.communicate(timeout=120)
    return process.returncode, errors, time.monotonic() - start


def contents() -> dict[str, bytes]:
    """Return the content of each file of the working folder."""
    return {str(path): path.read_bytes() for path in Path().rglob("*") if path.is_file()}


def moments(seconds: float, count: int) -> list[float]:
    return [random.random() * 1.05 * seconds for _ in range(count)]


@pytest.mark.parametrize("command", READS)
def test_ctrl_c_at_any_moment_is_quiet(command, folder):
    code, _, seconds = run(READS[command])
    assert code in (0, 10)
    for moment in moments(seconds, 4 * CASES):
        code, errors, _ = run(READS[command], signal.SIGINT, moment)
        # By the signal itself if the command was done and the process about to end.
        assert code in (0, 10, 130, -signal.SIGINT), (moment, errors)
        assert code != 130 or errors.endswith("edgevae: interrupted\n"), (moment, errors)
        assert len(errors.splitlines()) <= 2, (moment, errors)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_nothing_half_written(number, folder):
    outs = random.sample([out for out in WRITES if out not in SLOW], 3)
    for out in WRITES if CASES > 1 else outs:
        command, before = WRITES[out], contents()
        code, _, seconds = run(command)
        assert code == 0, out
        made = contents()
        for moment in moments(seconds, max(1, CASES // 4)):
            restore(before)
            code, errors, _ = run(command, number, moment)
            ended = -number if number != signal.SIGINT else 130
            assert code in (0, ended, -number), (out, moment, errors)
            assert "Traceback" not in errors, (out, moment, errors)
            check_files(out, before, made)
        restore(before)


@pytest.mark.parametrize("out", WRITES)
def test_a_killed_process_leaves_no_half_written_file_and_the_next_one_tidies_up(out, folder):
    if CASES == 1 and out in SLOW:
        pytest.skip("EDGEVAE_ATTACK=2 and more run it")
    before = contents()
    code, _, seconds = run(WRITES[out])
    assert code == 0
    made = contents()
    for moment in moments(seconds, CASES):
        restore(before)
        run(WRITES[out], signal.SIGKILL, moment)
        drafts = [path for path in Path().rglob(".*.edgevae.*") if path.parent.name[:1] != "."]
        check_files(out, before, made, but=drafts)
        for draft in drafts:
            os.utime(draft, (0, 0))
        assert run(WRITES[out])[0] == 0
        check_files(out, before, made)
        assert contents().keys() == made.keys()


def restore(before: dict[str, bytes]) -> None:
    for path in contents().keys() - before.keys():
        os.unlink(path)
    for path in Path().iterdir():
        if path.is_dir() and path.name != "MODEL":
            shutil.rmtree(path)


def check_files(out: str, before: dict[str, bytes], made: dict[str, bytes], but=()) -> None:
    """Assert that each file is one of those before, or as a command that ended has made it."""
    for path, content in contents().items():
        if any(Path(path).is_relative_to(draft) for draft in but):
            continue
        assert path in made, (out, path)
        if out in ("tune", "compiled", "calibrated"):  # which record times and dates
            assert path.split("/")[0] in before or content[-1:] == made[path][-1:], (out, path)
        else:
            assert content == made[path], (out, path)

"""Standard streams: pipes, terminals, full disks, closed streams and interrupts."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from command_line import ROOT, edgevae, environment, pixels

from edgevae import vae

WAYS_OUT = {
    "help": ["--help"],
    "help of a verb": ["score", "--help"],
    "version": ["--version"],
    "report": ["verify", "MODEL", "--json"],
    "rows": ["score", "x.npy", "--model", "MODEL", "--method", "recon"],
    "latents": ["encode", "x.npy", "--model", "MODEL", "--out", "-"],
    "array": ["generate", "2", "--model", "MODEL", "--out", "-"],
    "report of a file": ["generate", "2", "--model", "MODEL", "--json", "--out", "y.npy"],
}


@pytest.fixture(params=WAYS_OUT)
def writes_stdout(request, grey) -> list[str]:
    """The arguments of a command that writes to standard output."""
    np.save("x.npy", np.zeros((2, 1, 8, 8), np.float32))
    return [grey if argument == "MODEL" else argument for argument in WAYS_OUT[request.param]]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a disk that is always full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_is_4_and_says_where(writes_stdout, unbuffered):
    with open("/dev/full", "wb") as full:
        variables = environment(PYTHONUNBUFFERED=unbuffered)
        done = edgevae(*writes_stdout, stdout=full, env=variables)
    assert done.returncode == 4
    assert b"No space left on device" in done.stderr
    assert b"standard" in done.stderr
    assert b"Traceback" not in done.stderr
    assert b"Exception ignored" not in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="needs a shell that closes streams")
def test_a_closed_standard_output_is_4(writes_stdout):
    command = ["sh", "-c", '"$@" >&-', "sh", sys.executable, "-m", "edgevae", *writes_stdout]
    done = subprocess.run(command, env=environment(), stderr=subprocess.PIPE)
    assert done.returncode == 4
    assert b"Bad file descriptor" in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="needs a shell that closes streams")
def test_a_closed_standard_output_is_no_error_for_a_command_that_does_not_write_to_it(grey):
    arguments = ["generate", "2", "--model", grey, "--out", "x.npy"]
    command = ["sh", "-c", '"$@" >&-', "sh", sys.executable, "-m", "edgevae", *arguments]
    assert subprocess.run(command, env=environment()).returncode == 0
    assert np.load("x.npy").shape == (2, 1, 8, 8)


@pytest.mark.skipif(os.name == "nt", reason="needs a shell that closes streams")
def test_closed_standard_input_is_4_and_closed_standard_error_is_silent(grey):
    edgevae = ["sh", "-c", '"$@" <&- 2>&-', "sh", sys.executable, "-m", "edgevae"]
    for arguments, code in ((["encode", "-"], 4), (["generate", "1", "--out", "x.npy"], 0)):
        command = [*edgevae, *arguments, "--model", grey]
        done = subprocess.run(command, env=environment(), stdout=subprocess.PIPE)
        assert (done.returncode, done.stdout) == (code, b"")


@pytest.mark.skipif(os.name == "nt", reason="needs SIGPIPE")
def test_a_reader_that_has_gone_is_141(writes_stdout):
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as pipe:
        done = edgevae(*writes_stdout, stdout=pipe)
    assert done.returncode == 141
    assert b"Error" not in done.stderr


def test_arrays_go_through_pipes(grey):
    made = edgevae("generate", "6", "--seed", "7", "--model", grey, "--out", "-")
    assert made.returncode == 0
    x = np.load(io.BytesIO(made.stdout))
    np.testing.assert_allclose(x, vae.load(grey).generate(6, seed=7), atol=1e-6)
    back = edgevae("reconstruct", "-", "--model", grey, "--json", input=made.stdout)
    assert np.load(io.BytesIO(back.stdout)).shape == x.shape
    assert json.loads(back.stderr)["rows"] == 6
    latents = edgevae("encode", "-", "--model", grey, input=made.stdout)
    with np.load(io.BytesIO(latents.stdout)) as posterior:
        assert posterior["mu"].shape == (6, 4)


def test_an_image_goes_through_pipes_as_an_image(grey, files):
    done = edgevae("denoise", "-", "--model", grey, input=Path(files[0]).read_bytes())
    assert done.returncode == 0
    expected = np.asarray(vae.load(grey).denoise(files[0]))
    assert np.array_equal(pixels(io.BytesIO(done.stdout)), expected)


@pytest.mark.parametrize("data", [b"", b"neither image nor array", b"PK broken", b"\x93NUMPY"])
def test_unreadable_standard_input_is_4(grey, data):
    done = edgevae("encode", "-", "--model", grey, input=data)
    assert done.returncode == 4
    assert b"standard input: expected" in done.stderr


def test_a_reader_that_closes_early_causes_no_message(grey):
    command = [sys.executable, "-m", "edgevae", "generate", "100000", "--seed", "7"]
    process = subprocess.Popen(
        [*command, "--model", grey, "--out", "-"],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout.read(6) == b"\x93NUMPY"
    process.stdout.close()
    with process.stderr:
        assert process.stderr.read() == b""
    assert process.wait() == 141


def test_ctrl_c_is_quiet(grey, tmp_path):
    command = [sys.executable, "-m", "edgevae", "generate", "1000000", "--seed", "7"]
    process = subprocess.Popen(
        [*command, "--model", grey, "--out", "x.gif"],
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".x.gif.*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    with process.stderr:
        assert process.stderr.read() == "edgevae: interrupted\n"
    assert process.wait() == 130
    assert not os.listdir(tmp_path)


def test_an_interrupt_inside_an_exec_is_quiet_too(tmp_path):
    """An import of a dataclass runs an exec, in which `python -m` would end by the signal."""
    (tmp_path / "interrupted.py").write_text(
        "import sys\n"
        "from edgevae import bundle, cli\n"
        "bundle.find.__code__ = (lambda name: exec('raise KeyboardInterrupt')).__code__\n"
        "sys.exit(cli.main(['info']))\n"
    )
    paths = os.pathsep.join([str(ROOT), str(tmp_path)])
    command = [sys.executable, "-m", "interrupted"]
    assert subprocess.run(command, env=environment(PYTHONPATH=paths)).returncode == 130


def test_there_is_no_bar_without_a_terminal(grey):
    done = edgevae("generate", "100", "--seed", "7", "--model", grey)
    assert done.stderr.count(b"\n") == 1
    assert b"\r" not in done.stderr


def test_a_terminal_sees_a_bar_and_never_binary_data(grey):
    pty, termios = pytest.importorskip("pty"), pytest.importorskip("termios")  # not on Windows
    primary, secondary = pty.openpty()
    termios.tcsetwinsize(secondary, (24, 100))
    command = [sys.executable, "-m", "edgevae", "generate", "100", "--seed", "7", "--model", grey]
    terminal = {"stdin": secondary, "stdout": secondary, "stderr": secondary}
    terminal["env"] = environment(TERM="xterm")
    assert subprocess.run([*command, "--out", "a.npy"], **terminal).returncode == 0
    assert "0/100 [" in os.read(primary, 65536).decode()
    assert subprocess.run([*command, "--out", "-"], **terminal).returncode == 4
    assert "refused to write binary data to a terminal" in os.read(primary, 65536).decode()
    os.close(primary)
    os.close(secondary)

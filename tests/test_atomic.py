"""Files that appear complete or not at all."""

import io
import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from command_line import environment

from edgevae import atomic


@pytest.mark.parametrize("durable", [False, True])
def test_a_file_appears_when_the_block_ends(tmp_path, durable):
    path = tmp_path / "a.bin"
    with atomic.create(path, durable=durable) as file:
        file.write(b"one")
        assert not path.exists()
    assert path.read_bytes() == b"one"
    assert os.listdir(tmp_path) == ["a.bin"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, OSError])
def test_a_failure_leaves_the_old_file_alone(tmp_path, error):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def fail():
        with atomic.create(path) as file:
            file.write(b"new")
            raise error

    with pytest.raises(error):
        fail()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o755])
def test_a_replaced_file_keeps_its_mode(tmp_path, mode):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    path.chmod(mode)
    with atomic.create(path) as file:
        assert stat.S_IMODE(os.fstat(file.fileno()).st_mode) == mode
        file.write(b"new")
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert path.read_bytes() == b"new"


def test_a_link_is_followed(tmp_path):
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    with atomic.create(tmp_path / "link") as file:
        file.write(b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such files")
def test_a_pipe_is_written_directly(tmp_path):
    pipe, got = tmp_path / "pipe", io.BytesIO()
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.write(pipe.read_bytes()))
    reader.start()
    with atomic.create(pipe) as file:
        file.write(b"bytes")
    reader.join()
    assert got.getvalue() == b"bytes"
    assert pipe.is_fifo()


def test_two_writers_of_one_file_do_not_meet(tmp_path):
    path = tmp_path / "a.bin"
    with atomic.create(path) as one, atomic.create(path) as other:
        one.write(b"1")
        other.write(b"2")
    assert path.read_bytes() == b"1"


@pytest.mark.parametrize("swaps", [False, True])
@pytest.mark.parametrize("existing", [False, True])
def test_a_folder_is_replaced(tmp_path, existing, swaps, monkeypatch):
    if not swaps:
        monkeypatch.setattr(atomic, "_swap", lambda one, other: False)
    target = tmp_path / "bundle"
    if existing:
        target.mkdir(mode=0o700)
        (target / "old").write_bytes(b"1")
    with atomic.create_folder(target) as draft:
        atomic.write(draft / "new", b"2")
        assert not (target / "new").exists()
    assert os.listdir(tmp_path) == ["bundle"]
    assert os.listdir(target) == ["new"]
    if existing and os.name != "nt":
        assert stat.S_IMODE(target.stat().st_mode) == 0o700


@pytest.mark.skipif(sys.platform != "linux", reason="the system cannot swap folders")
def test_a_folder_is_replaced_in_one_step(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "rename", lambda *_: pytest.fail("two steps"))
    target = tmp_path / "bundle"
    target.mkdir()
    with atomic.create_folder(target) as draft:
        atomic.write(draft / "new", b"2")
    assert os.listdir(target) == ["new"]


KILLED = """
import os, signal, sys
from pathlib import Path
from edgevae import atomic
with atomic.create(sys.argv[1]) as file, atomic.create_folder(Path(sys.argv[2])) as folder:
    file.write(b"half")
    file.flush()
    atomic.write(folder / "half", b"1")
    signal.raise_signal(signal.SIGKILL)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signal")
def test_drafts_of_killed_processes_are_removed_and_those_of_others_are_not(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic, "_searched", set())
    command = [sys.executable, "-c", KILLED, str(tmp_path / "a"), str(tmp_path / "b")]
    assert subprocess.run(command, env=environment()).returncode == -signal.SIGKILL
    (tmp_path / ".mine.part").write_bytes(b"")
    assert len(os.listdir(tmp_path)) == 3
    with atomic.create(tmp_path / "c"), atomic.create_folder(tmp_path / "d"):
        for entry in tmp_path.iterdir():
            os.utime(entry, (0, 0))
        atomic._searched.clear()
        with atomic.create(tmp_path / "e"):
            assert len(os.listdir(tmp_path)) == 4  # the drafts of c, d and e, and .mine.part
    assert sorted(os.listdir(tmp_path)) == [".mine.part", "c", "d", "e"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signal")
def test_a_young_draft_is_left_to_its_writer_which_may_not_have_locked_it_yet(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(atomic, "_searched", set())
    (tmp_path / ".a.01234567.edgevae.part").write_bytes(b"")
    with atomic.create(tmp_path / "b"):
        pass
    assert sorted(os.listdir(tmp_path)) == [".a.01234567.edgevae.part", "b"]

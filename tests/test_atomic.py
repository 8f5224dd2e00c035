"""Files that appear complete or not at all."""

import io
import os
import stat
import threading

import pytest

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


@pytest.mark.parametrize("existing", [False, True])
def test_a_folder_is_replaced(tmp_path, existing):
    target, draft = tmp_path / "bundle", tmp_path / "draft"
    draft.mkdir()
    atomic.write(draft / "new", b"2")
    if existing:
        target.mkdir()
        (target / "old").write_bytes(b"1")
    atomic.replace(target, draft)
    assert os.listdir(tmp_path) == ["bundle"]
    assert os.listdir(target) == ["new"]

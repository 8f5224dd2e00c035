"""A file appears when it is complete, and a place that cannot be written costs no work."""

import io
import os
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from sample_files import UNIT, images, never

from edgevae.errors import InputError
from edgevae.files import array_files, destination, folders


def test_a_failure_leaves_what_was_there(tmp_path):
    out = tmp_path / "x.npy"
    out.write_bytes(b"precious")

    def breaks():
        yield images(2)
        raise RuntimeError("out of luck")

    with pytest.raises(RuntimeError, match="luck"):
        array_files.write_npy(str(out), breaks(), (4, 1, 5, 3), "float32")
    assert out.read_bytes() == b"precious"
    assert os.listdir(tmp_path) == ["x.npy"]


def test_a_link_is_followed(tmp_path):
    (tmp_path / "real.npy").write_bytes(b"old")
    (tmp_path / "link.npy").symlink_to("real.npy")
    array_files.write_npy(str(tmp_path / "link.npy"), [images(2)], (2, 1, 5, 3), "float32")
    assert (tmp_path / "link.npy").is_symlink()
    assert np.array_equal(np.load(tmp_path / "real.npy"), images(2))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such files")
def test_a_pipe_is_written_not_replaced(tmp_path):
    pipe, got = tmp_path / "pipe.npy", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    array_files.write_npy(str(pipe), [images(2)], (2, 1, 5, 3), "float32")
    reader.join()
    assert np.array_equal(np.load(io.BytesIO(got[0])), images(2))
    assert pipe.is_fifo()


@pytest.mark.parametrize("name", ["missing/x.npy", "file/x.npy"])
def test_a_place_that_cannot_be_written_costs_no_work(tmp_path, name):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"cannot write .*x\.npy.*name a place"):
        array_files.write_npy(str(tmp_path / name), never(), (1,), "float32")
    with pytest.raises(InputError, match="cannot write"):
        folders.write_folder(str(tmp_path / "file" / "f"), never(), [], UNIT)


def test_binary_data_are_not_written_to_a_terminal(monkeypatch):
    buffer = io.BytesIO()
    terminal = SimpleNamespace(isatty=lambda: True, buffer=buffer)
    monkeypatch.setattr("sys.stdout", terminal)
    refused = pytest.raises(InputError, match="refused to write binary data to a terminal")
    with refused, destination.open_output("-"):
        pytest.fail("the output was opened")
    with destination.open_output("-", readable=True) as file:
        file.write(b"text")
    assert buffer.getvalue() == b"text"


def test_an_array_that_is_larger_than_the_disk_is_refused(tmp_path):
    out = str(tmp_path / "x.npy")
    destination.check_space(out, (10, 10), "float32")
    with pytest.raises(InputError, match=r"x\.npy: 10 rows take 4e\+12 GB, .*fewer rows"):
        destination.check_space(out, (10, 10**20), "float32")
    destination.check_space("-", (10, 10**20), "float32")

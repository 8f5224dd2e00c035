"""Array files hold exactly the results, are written in bounded memory, and are read by name."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
from sample_files import images, in_batches

from edgevae.errors import InputError
from edgevae.files import array_files


@pytest.mark.parametrize("rows", [0, 1, 10])
def test_npy_is_what_numpy_reads(tmp_path, rows):
    x, out = images(rows), tmp_path / "x.npy"
    array_files.write_npy(str(out), in_batches(x, 3), x.shape, "float32")
    got = np.load(out)
    assert got.dtype == np.float32
    assert np.array_equal(got, x)


def test_npz_is_what_numpy_reads(tmp_path):
    x, out = images(10), tmp_path / "x.npz"
    array_files.write_npz(str(out), "x", in_batches(x, 3), x.shape, "float32", seed=np.uint64(7))
    with np.load(out) as archive:
        assert np.array_equal(archive["x"], x)
        assert archive["seed"] == 7
    assert zipfile.ZipFile(out).testzip() is None


def test_an_array_file_is_streamed(tmp_path):
    """Many times the bytes of a batch pass through, and memory does not grow by as much."""
    import tracemalloc

    batch = np.zeros((1000, 256), np.float32)  # 1 MB
    tracemalloc.start()
    array_files.write_npy(
        str(tmp_path / "x.npy"), (batch for _ in range(50)), (50_000, 256), "float32"
    )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert Path(tmp_path / "x.npy").stat().st_size > 50_000_000
    assert peak < 1_000_000


def test_the_array_of_an_archive_is_found_by_name_or_stands_alone(tmp_path):
    path, x = str(tmp_path / "x.npz"), np.arange(3.0)
    for arrays in ({"x": x, "y": x + 1}, {"x_hat": x, "z": x + 1}, {"alone": x}):
        np.savez(path, **arrays)
        np.testing.assert_array_equal(array_files.load(path, "here"), x)
    np.savez(path, a=x, b=x)
    with pytest.raises(InputError, match=r"here: expected an array named z or mu, .* got a, b"):
        array_files.load(path, "here", ("z", "mu"))


@pytest.mark.parametrize("content", [b"", b"text", b"\x93NUMPY", b"PK broken"])
def test_a_file_without_an_array_is_refused(tmp_path, content):
    (tmp_path / "x.npy").write_bytes(content)
    for source in (str(tmp_path / "x.npy"), content):
        with pytest.raises(InputError, match=r"here: expected a \.npy or \.npz of numbers"):
            array_files.load(source, "here")


def test_rows_are_read_in_batches_and_named_if_they_do_not_fit(grey):
    x = np.zeros((5, 1, 8, 8), np.float32)
    rows, batches = array_files.read(x, grey, 2, "here")
    assert (rows, [len(batch) for batch in batches]) == (5, [2, 2, 1])
    rows, batches = array_files.read(x[0], grey, 2, "here")
    assert (rows, [batch.shape for batch in batches]) == (1, [(1, 1, 8, 8)])
    x[3] = np.nan
    _, batches = array_files.read(x, grey, 2, "here")
    next(batches)
    with pytest.raises(InputError, match="here, from row 2 on: x: expected finite numbers"):
        next(batches)
    with pytest.raises(InputError, match="here: x: expected float32 of shape"):
        array_files.read(x[..., :7], grey, 2, "here")


def test_labels_stand_beside_x(tmp_path):
    path = str(tmp_path / "x.npz")
    np.savez(path, x=np.zeros((3, 2)), y=[2, 0, 1])
    assert array_files.read_labels([path], 3).tolist() == [2, 0, 1]
    with pytest.raises(InputError, match=r"expected y of 4 labels as of x, got shape \(3,\)"):
        array_files.read_labels([path], 4)
    np.savez(path, x=np.zeros((3, 2)))
    for paths in ([path], [path, path], ["x.npy"]):
        assert array_files.read_labels(paths, 3) is None

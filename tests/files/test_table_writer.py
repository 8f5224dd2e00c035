"""Tables are written so that the reader of tables reads the same items back."""

import csv
import io
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from sample_files import GREY, SIGNAL, VECTOR

from edgevae import files
from edgevae.data import Features
from edgevae.errors import InputError
from edgevae.latents import Posterior


@pytest.fixture(params=[".csv", ".parquet"])
def out(request, tmp_path):
    if request.param == ".parquet":
        pytest.importorskip("pyarrow")
    return str(tmp_path / f"x{request.param}")


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape, np.float32) * np.float32(1e3)


def save(out, x, bundle, **more):
    batches = (x[i : i + 3] for i in range(0, len(x), 3))
    files.save(out, "table", files.Results(batches, len(x), bundle.data, **more))


def read_back(out, bundle):
    inputs = files.read([out], bundle)
    return list(inputs.ids), np.concatenate(list(inputs.batches))


def test_vectors_come_back_to_the_last_bit(out, vector):
    x = normal(10, 3)
    save(out, x, vector, ids=range(5, 15))
    ids, got = read_back(out, vector)
    assert list(map(int, ids)) == list(range(5, 15))
    np.testing.assert_array_equal(got, x)


def test_signals_are_a_row_for_each_step(out, tmp_path):
    signal = SIGNAL.write(tmp_path / "b", stride=3)
    x = normal(5, 2, 4)
    save(out, x, signal, ids=list("abcde"))
    ids, got = read_back(out, signal)
    assert ids == list("abcde")
    np.testing.assert_array_equal(got, x)


def test_images_are_rows_of_pixels(out, tmp_path):
    grey = GREY.write(tmp_path / "b")
    x = np.random.default_rng(0).random((4, 1, 8, 8), np.float32)
    save(out, x, grey)
    np.testing.assert_array_equal(read_back(out, grey)[1], x)


def test_a_header_names_the_features(tmp_path, vector):
    save(str(tmp_path / "x.csv"), np.float32([[0.1, 1, 1e-9]]), vector, ids=["pump, 7"])
    text = (tmp_path / "x.csv").read_text()
    assert list(csv.reader(io.StringIO(text))) == [
        ["id", "heat", "load", "speed"], ["pump, 7", "0.1", "1.0", "1e-09"]
    ]  # fmt: skip


def test_no_rows_are_a_table_too(out, vector):
    save(out, np.empty((0, 3), np.float32), vector)
    inputs = files.read([out], vector)
    assert (inputs.rows, list(inputs.batches)) == (0, [])
    if out.endswith(".csv"):
        assert Path(out).read_text() == "id,heat,load,speed\n"


def test_ids_that_are_numbers_and_strings_become_strings(out, vector):
    save(out, normal(6, 3), vector, ids=[0, 1, 2, "x", 4, 5])
    assert read_back(out, vector)[0] == ["0", "1", "2", "x", "4", "5"]


def test_a_feature_named_id_keeps_its_column(out, tmp_path):
    named = Features(("id", "b", "c"), (0.0,) * 3, (1.0,) * 3)
    bundle = VECTOR.write(tmp_path / "b", features=named)
    x = normal(4, 3)
    save(out, x, bundle)
    ids, got = read_back(out, bundle)
    assert ids == [0, 1, 2, 3]
    np.testing.assert_array_equal(got, x)


def test_posteriors_come_back_as_latents(out, vector):
    mu, logvar = normal(7, 2), normal(7, 2)
    parts = (Posterior(mu[i : i + 3], logvar[i : i + 3]) for i in range(0, 7, 3))
    files.save_posteriors(out, "table", parts, 7, vector, [f"pump {i}" for i in range(7)])
    np.testing.assert_array_equal(files.read_latents(out, vector), mu)
    if out.endswith(".csv"):
        header, first, *_ = Path(out).read_text().splitlines()
        assert header == "id,mu0,mu1,logvar0,logvar1"
        assert first.startswith("pump 0,")


def test_a_failure_leaves_no_table(out, vector):
    def breaks():
        yield normal(3, 3)
        raise RuntimeError("out of luck")

    with pytest.raises(RuntimeError, match="luck"):
        files.save(out, "table", files.Results(breaks(), 6, vector.data))
    assert not os.listdir(Path(out).parent)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such files")
def test_a_pipe_takes_a_table(out, vector):
    x, got = normal(7, 3), []
    os.mkfifo(out)
    reader = threading.Thread(target=lambda: got.append(Path(out).read_bytes()))
    reader.start()
    save(out, x, vector)
    reader.join()
    os.unlink(out)
    Path(out).write_bytes(got[0])
    np.testing.assert_array_equal(read_back(out, vector)[1], x)


def test_parquet_without_pyarrow_says_what_to_install(vector, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(InputError, match=r"pip install 'edgevae\[parquet\]'"):
        save(str(tmp_path / "x.parquet"), normal(1, 3), vector)
    assert not os.listdir(tmp_path)

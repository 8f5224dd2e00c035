"""Every verb reads the same inputs, each once."""

import json
from pathlib import Path

import numpy as np
import pytest
from sample_files import NAMED, feed, items, pictures

from edgevae import files
from edgevae.errors import InputError

X = np.float32([[1, 2, 3], [4, 5, 6]])
FORMS = {
    "x.csv": "speed,id,heat,load\n3,a,1,2\n6,b,4,5\n",
    "plain.csv": "1,2,3\n4,5,6\n",
    "x.jsonl": '[1, 2, 3]\n{"heat": 4, "load": 5, "speed": 6, "id": "b"}\n',
    "x.ndjson": '{"x": [1, 2, 3]}\n[4, 5, 6]\n',
}


@pytest.mark.parametrize(("name", "content"), FORMS.items())
def test_tables_are_read_from_a_file_and_from_standard_input(
    vector, here, monkeypatch, name, content
):
    Path(name).write_text(content)
    feed(monkeypatch, content.encode())
    for path in (name, "-"):
        inputs = files.read([path], vector)
        assert (inputs.form, inputs.rows, inputs.dtype) == ("table", 2, "float32")
        np.testing.assert_array_equal(items(inputs), X)
    twice = files.read([name, name], vector)
    assert twice.ids[:2] in (["a", "b"], [0, 1], [0, "b"])
    np.testing.assert_array_equal(items(twice), [*X, *X])


def test_parquet_and_arrays_are_read(vector, here):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    columns = dict(zip(NAMED.names, X.T, strict=True))
    parquet.write_table(pyarrow.table(columns), "x.parquet")
    np.save("x.npy", X)
    np.savez("x.npz", x=X)
    for name in ("x.parquet", "x.npy", "x.npz"):
        np.testing.assert_array_equal(items(files.read([name], vector)), X)


def test_a_bad_line_of_a_table_is_refused_before_any_work(vector, here):
    Path("x.csv").write_text("1,2,3\n" * 1000 + "1,2\n")
    with pytest.raises(InputError, match=r"x\.csv, line 1001: expected 3 values, got 2"):
        files.read(["x.csv"], vector)


def test_an_image_may_be_a_row_of_a_table(grey, here):
    x = np.random.default_rng(0).random((2, 1, 8, 8), np.float32)
    np.savetxt("x.csv", x.reshape(2, -1), delimiter=",")
    np.testing.assert_allclose(items(files.read(["x.csv"], grey)), x, atol=1e-6)


@pytest.mark.parametrize("path", ["a.png", "images"])
def test_pictures_are_for_images(vector, here, path):
    pictures(1)
    with pytest.raises(InputError, match=r"expected vectors, which bundle .* takes, in \.npy"):
        files.read([path], vector)


def test_latents_are_read_from_arrays_and_tables(vector, here, monkeypatch):
    z = np.float32([[1, 2], [3, 4], [5, 6]])
    np.savez("z.npz", mu=z, logvar=-z)
    np.save("z.npy", z)
    np.savetxt("z.csv", np.hstack([z, -z]), delimiter=",", header="mu0,mu1,logvar0,logvar1",
               comments="")  # fmt: skip
    np.savetxt("plain.csv", z, delimiter=",")
    Path("z.jsonl").write_text(
        "".join(json.dumps({"z1": b, "z0": a}) + "\n" for a, b in z.tolist())
    )
    for name in ("z.npz", "z.npy", "z.csv", "plain.csv", "z.jsonl"):
        np.testing.assert_array_equal(files.read_latents(name, vector), z)
        feed(monkeypatch, Path(name).read_bytes())
        np.testing.assert_array_equal(files.read_latents("-", vector), z)
    Path("bad.csv").write_text("a,b,c\n1,2,3\n")
    with pytest.raises(InputError, match=r"bad\.csv: expected 2 columns, as many as the latent's"):
        files.read_latents("bad.csv", vector)


def test_tables_come_in_batches_one_after_the_other(vector, tmp_path):
    table = np.arange(900.0).reshape(300, 3)
    for name in ("a.csv", "b.csv"):
        np.savetxt(tmp_path / name, table, delimiter=",")
    paths = [str(tmp_path / name) for name in ("a.csv", "b.csv")]
    batches = list(files.stream(paths, vector, print))
    assert [len(batch.x) for batch in batches] == [256, 44, 256, 44]
    np.testing.assert_array_equal(np.concatenate([b.x for b in batches[2:]]), table)


def test_arrays_are_read_as_elsewhere(vector, tmp_path):
    np.save(tmp_path / "x.npy", np.ones((300, 3), np.float32))
    batches = list(files.stream([str(tmp_path / "x.npy")], vector, print))
    assert [len(batch.x) for batch in batches] == [256, 44]
    assert batches[1].ids == list(range(256, 300))


def test_a_table_stands_beside_no_images(vector, tmp_path):
    (tmp_path / "a.csv").write_text("1,2,3\n")
    with pytest.raises(InputError, match=r"b\.png: expected a table beside others"):
        list(files.stream([str(tmp_path / "a.csv"), "b.png"], vector, print))

"""Tables as streams of rows, and rows as items."""

import io
import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from tiny import Tiny

import edgevae
from edgevae.bundle import Text
from edgevae.data import Features
from edgevae.errors import InputError
from edgevae.files import batches, inputs, tables

VECTOR = Tiny("vector", (3,), None, (2,))
SIGNAL = Tiny("signal", (2, 4), None, (3,))
NAMED = Features(("heat", "load", "speed"), (0.0,) * 3, (1.0,) * 3)


@pytest.fixture(scope="module")
def vector(tmp_path_factory):
    """A bundle of three features that have names."""
    return VECTOR.write(tmp_path_factory.mktemp("vector") / "b", features=NAMED)


@pytest.fixture(scope="module")
def nameless(tmp_path_factory):
    return VECTOR.write(tmp_path_factory.mktemp("nameless") / "b")


@pytest.fixture(scope="module")
def signal(tmp_path_factory):
    """Windows of four steps of two features, three apart."""
    return SIGNAL.write(tmp_path_factory.mktemp("signal") / "b", stride=3)


def lines(text: str) -> list[bytes]:
    return text.encode().splitlines(keepends=True)


def csv_rows(text, bundle, tell=lambda note: None):
    return list(tables.from_csv(lines(text), tables.schema(bundle), "t.csv", tell))


def json_rows(text, bundle, tell=lambda note: None):
    return list(tables.from_json(lines(text), tables.schema(bundle), "t.jsonl", tell))


def test_columns_are_found_by_name(vector):
    told = []
    found = csv_rows(
        "speed,note,heat,id,load\n3,a,1,pump 7,2\n\n6,b,4,pump 8,5\n", vector, told.append
    )
    assert [row.id for row in found] == ["pump 7", "pump 8"]
    assert [row.where for row in found] == ["t.csv, line 2", "t.csv, line 4"]
    np.testing.assert_array_equal([row.values for row in found], [[1, 2, 3], [4, 5, 6]])
    assert found[0].values.dtype == np.float32
    assert told == ["t.csv: ignored note: no features of the bundle"]


def test_columns_without_names_are_taken_in_order(vector, nameless):
    for bundle in (vector, nameless):
        found = csv_rows("1,2,3\n4,5,6\n", bundle)
        assert [row.id for row in found] == [0, 1]
        np.testing.assert_array_equal([row.values for row in found], [[1, 2, 3], [4, 5, 6]])
    (found,) = csv_rows("id,c,b,a\n9,1,2,3\n", nameless)
    assert found.id == "9"
    np.testing.assert_array_equal(found.values, [1, 2, 3])
    assert csv_rows("", vector) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("heat,load\n1,2\n", "t.csv: expected a column 'speed', one of the bundle's features"),
        ("heat,load,speed\n1,2,3\n1,2\n", "t.csv, line 3: expected 3 values, got 2"),
        ("heat,load,speed\n1,warm,3\n", "t.csv, line 2: expected a number in load, got 'warm'"),
        ("heat,load,speed\n1,,3\n", "t.csv, line 2: expected a finite number in load, got nan"),
        ("1,2,3\n1,2,inf\n", "t.csv, line 2: expected a finite number in speed, got inf"),
        ("heat,load,speed\n1,2,3\n\xff\n", "t.csv, line 3: expected UTF-8"),
    ],
)
def test_a_bad_line_of_csv_is_named(vector, text, message):
    csv_lines = text.encode("latin-1").splitlines(True)
    with pytest.raises(InputError, match=message):
        list(tables.from_csv(csv_lines, tables.schema(vector), "t.csv", print))


def test_names_that_nobody_knows_must_be_as_many_as_the_features(nameless):
    with pytest.raises(InputError, match=r"expected 3 columns, as many as .* got 2: a, b"):
        csv_rows("a,b\n1,2\n", nameless)


def test_missing_values_wait_for_what_stands_in_for_them(tmp_path):
    imputes = VECTOR.write(tmp_path / "b", features=NAMED._replace(impute=(1.0, 2.0, 3.0)))
    found = csv_rows("heat,load,speed\n1,NA,3\n", imputes)
    assert np.isnan(found[0].values).tolist() == [False, True, False]


def test_json_has_rows_of_every_form(vector):
    told = []
    found = json_rows(
        '[1, 2, 3]\n{"x": [4, 5, 6], "id": "seven"}\n\n'
        '{"speed": 9, "heat": 7, "load": 8, "more": 0}\n{"more": 1, "heat": 1, "load": 2, '
        '"speed": 3}\n',
        vector,
        told.append,
    )
    assert [row.id for row in found] == [0, "seven", 2, 3]
    expected = [[1, 2, 3], [4, 5, 6], [7, 8, 9], [1, 2, 3]]
    np.testing.assert_array_equal([row.values for row in found], expected)
    assert told == ["t.jsonl, line 4: ignored more: no features of the bundle"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1, 2, 3]\n[1, 2\n", "t.jsonl, line 2: expected a row of JSON"),
        ("[1, 2]", r"t.jsonl, line 1: expected x of shape \(3,\), got \[1, 2\]"),
        ("3", "line 1: expected x of shape"),
        ('["a", 2, 3]', "line 1: expected x of shape"),
        ('{"heat": 1, "load": 2}', "line 1: expected a column 'speed'"),
        ('{"heat": 1, "load": [], "speed": 3}', r"expected a number in load, got \[\]"),
        ("[1, NaN, 3]", "line 1: expected a finite number in load, got nan"),
    ],
)
def test_a_bad_line_of_json_is_named(vector, text, message):
    with pytest.raises(InputError, match=message):
        json_rows(text, vector)


def test_steps_become_windows_with_the_stride_of_the_bundle(signal, tmp_path):
    series = np.arange(24.0).reshape(12, 2)
    path = tmp_path / "run.csv"
    np.savetxt(path, series, delimiter=",")
    (batch,) = inputs.stream([str(path)], signal, print)
    assert batch.ids == ["0-3", "3-6", "6-9"]
    assert batch.x.dtype == np.float32
    for window, first in zip(batch.x, (0, 3, 6), strict=True):
        np.testing.assert_array_equal(window, series[first : first + 4].T)
    (batch,) = inputs.stream([str(path)], signal, print, disjoint=True)
    assert batch.ids == ["0-3", "4-7", "8-11"]


def test_windows_do_not_overlap_where_no_stride_is_known(tmp_path):
    bundle = SIGNAL.write(tmp_path / "b")
    path = tmp_path / "run.jsonl"
    path.write_text("".join(json.dumps([i, -i]) + "\n" for i in range(11)))
    (batch,) = inputs.stream([str(path)], bundle, print)
    assert batch.ids == ["0-3", "4-7"]


def test_a_window_may_come_as_one_row(signal, tmp_path):
    x = np.arange(8.0).reshape(2, 4)
    path = tmp_path / "windows.jsonl"
    path.write_text(json.dumps({"x": x.tolist(), "id": 7}) + "\n")
    (batch,) = inputs.stream([str(path)], signal, print)
    assert batch.ids == [7]
    np.testing.assert_array_equal(batch.x, x[None])


def test_tables_come_in_batches_one_after_the_other(vector, tmp_path):
    table = np.arange(900.0).reshape(300, 3)
    for name in ("a.csv", "b.csv"):
        np.savetxt(tmp_path / name, table, delimiter=",")
    paths = [str(tmp_path / name) for name in ("a.csv", "b.csv")]
    batches = list(inputs.stream(paths, vector, print))
    assert [len(batch.x) for batch in batches] == [256, 44, 256, 44]
    np.testing.assert_array_equal(np.concatenate([b.x for b in batches[2:]]), table)


def test_arrays_are_read_as_elsewhere(vector, tmp_path):
    np.save(tmp_path / "x.npy", np.ones((300, 3), np.float32))
    batches = list(inputs.stream([str(tmp_path / "x.npy")], vector, print))
    assert [len(batch.x) for batch in batches] == [256, 44]
    assert batches[1].ids == list(range(256, 300))


def test_strings_come_line_by_line(tmp_path, monkeypatch):
    knows = Text("abc", 4)
    tiny = Tiny("text", (4, 4), (0.0, 1.0), (2,))
    bundle = tiny.write(tmp_path / "b", text=knows, likelihood={"name": "categorical"})
    pipe = io.BytesIO(b"ab\r\ncab\n\nad\n")
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=pipe))
    batches = inputs.stream(["-"], bundle, print)
    vae = edgevae.load(bundle.path)
    for item in ("ab", "cab", ""):
        ids, x = next(batches)
        assert ids == [item]
        assert vae.score(x, "recon").values == vae.score(item, "recon").values
    with pytest.raises(InputError, match=r"standard input, line 4: 'ad' has 'd'"):
        next(batches)


def test_a_table_stands_beside_no_images(vector, tmp_path):
    (tmp_path / "a.csv").write_text("1,2,3\n")
    with pytest.raises(InputError, match=r"b\.png: expected a table beside others"):
        list(inputs.stream([str(tmp_path / "a.csv"), "b.png"], vector, print))


def test_parquet_is_read_by_name(vector, tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    told = []
    columns = {"speed": [3.0, 6.0], "load": [2, 5], "heat": [1.0, None], "when": ["a", "b"]}
    parquet.write_table(pyarrow.table(columns), tmp_path / "t.parquet")
    with pytest.raises(InputError, match=r"t\.parquet, row 1: expected a finite number in heat"):
        list(tables.read(tmp_path / "t.parquet", tables.schema(vector), told.append))
    assert "ignored when" in told[0]
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 is not enough")
    with pytest.raises(InputError, match="expected a Parquet file"):
        list(tables.read(tmp_path / "bad.parquet", tables.schema(vector), print))


def test_parquet_without_pyarrow_says_what_to_install(vector, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(InputError, match=r"pip install 'edgevae\[parquet\]'"):
        list(tables.read(tmp_path / "t.parquet", tables.schema(vector), print))


def test_windows_of_standard_input_come_with_their_last_step(signal, monkeypatch):
    """Nothing is read beyond the line that fills a window."""

    class Pipe(io.BytesIO):
        read = None  # all at once

    pipe = Pipe(b"".join(f"{i},{-i}\n".encode() for i in range(12)))
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=pipe))
    for last, batch in zip((4, 7, 10), inputs.stream(["-"], signal, print), strict=False):
        np.testing.assert_array_equal(
            batch.x, [[np.arange(last - 4, last), -np.arange(last - 4, last)]]
        )
        assert pipe.tell() == sum(len(f"{i},{-i}\n") for i in range(last))


@pytest.mark.parametrize(("shape", "rows"), [((3,), 256), ((1 << 20,), 4), ((3, 2000, 2000), 1)])
def test_large_items_come_few_at_a_time(shape, rows):
    assert batches.batch_rows(SimpleNamespace(x_shape=shape)) == rows

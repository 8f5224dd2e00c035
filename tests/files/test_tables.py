"""Tables are read as rows of named columns, and a bad line is named."""

import numpy as np
import pytest
from sample_files import NAMED, VECTOR

from edgevae.errors import InputError
from edgevae.files import tables


@pytest.fixture(scope="module")
def nameless(tmp_path_factory):
    return VECTOR.write(tmp_path_factory.mktemp("nameless") / "b")


def lines(text: str) -> list[bytes]:
    return text.encode().splitlines(keepends=True)


def csv_rows(text, bundle, tell=lambda note: None):
    return list(tables.from_csv(lines(text), tables.schema(bundle), "t.csv", tell))


def json_rows(text, bundle, tell=lambda note: None):
    return list(tables.from_json(lines(text), tables.schema(bundle), "t.jsonl", tell))


def test_columns_are_found_by_name(vector):
    notes = []
    found = csv_rows(
        "speed,note,heat,id,load\n3,a,1,pump 7,2\n\n6,b,4,pump 8,5\n", vector, notes.append
    )
    assert [row.id for row in found] == ["pump 7", "pump 8"]
    assert [row.where for row in found] == ["t.csv, line 2", "t.csv, line 4"]
    np.testing.assert_array_equal([row.values for row in found], [[1, 2, 3], [4, 5, 6]])
    assert found[0].values.dtype == np.float32
    assert notes == ["t.csv: ignored note: no features of the bundle"]


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


@pytest.mark.parametrize("first", ["1,x2,3", "1,2,3 V", "1;0,2,3"])
def test_a_broken_first_row_is_no_header(nameless, first):
    with pytest.raises(InputError, match=r"t\.csv, line 1: expected numbers, or a header"):
        csv_rows(f"{first}\n1,2,3\n", nameless)


def test_a_header_may_have_numbers_as_names(nameless):
    assert [row.id for row in csv_rows("id,0,1,2\na,1,2,3\n", nameless)] == ["a"]


def test_a_column_that_is_there_twice_is_refused(vector):
    with pytest.raises(InputError, match=r"t\.csv: expected each column once, got 'heat' twice"):
        csv_rows("heat,load,speed,heat\n1,2,3,4\n", vector)


def test_unknown_column_names_must_be_as_many_as_the_features(nameless):
    with pytest.raises(InputError, match=r"expected 3 columns, as many as .* got 2: a, b"):
        csv_rows("a,b\n1,2\n", nameless)


def test_missing_values_are_left_for_imputation(tmp_path):
    imputes = VECTOR.write(tmp_path / "b", features=NAMED._replace(impute=(1.0, 2.0, 3.0)))
    found = csv_rows("heat,load,speed\n1,NA,3\n", imputes)
    assert np.isnan(found[0].values).tolist() == [False, True, False]


def test_json_has_rows_of_every_form(vector):
    notes = []
    found = json_rows(
        '[1, 2, 3]\n{"x": [4, 5, 6], "id": "seven"}\n\n'
        '{"speed": 9, "heat": 7, "load": 8, "more": 0}\n{"more": 1, "heat": 1, "load": 2, '
        '"speed": 3}\n',
        vector,
        notes.append,
    )
    assert [row.id for row in found] == [0, "seven", 2, 3]
    expected = [[1, 2, 3], [4, 5, 6], [7, 8, 9], [1, 2, 3]]
    np.testing.assert_array_equal([row.values for row in found], expected)
    assert notes == ["t.jsonl, line 4: ignored more: no features of the bundle"]


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


@pytest.mark.parametrize("own_id", ['"\\ud800"', "[1]", "{}"])
def test_an_id_that_no_file_can_hold_is_refused(vector, own_id):
    with pytest.raises(InputError, match=r"t\.jsonl, line 1: expected a string or a number as id"):
        json_rows(f'{{"x": [1, 2, 3], "id": {own_id}}}', vector)


def test_parquet_is_read_by_name(vector, tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    notes = []
    columns = {"speed": [3.0, 6.0], "load": [2, 5], "heat": [1.0, None], "when": ["a", "b"]}
    parquet.write_table(pyarrow.table(columns), tmp_path / "t.parquet")
    with pytest.raises(InputError, match=r"t\.parquet, row 1: expected a finite number in heat"):
        list(tables.read(tmp_path / "t.parquet", tables.schema(vector), notes.append))
    assert "ignored when" in notes[0]
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 is not enough")
    with pytest.raises(InputError, match="expected a Parquet file"):
        list(tables.read(tmp_path / "bad.parquet", tables.schema(vector), print))


def test_parquet_without_pyarrow_says_what_to_install(vector, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(InputError, match=r"pip install 'edgevae\[parquet\]'"):
        list(tables.read(tmp_path / "t.parquet", tables.schema(vector), print))

"""The entries of graphs: read, chosen by target and precision, and refused if they are wrong."""

import pytest

from edgevae.bundle import GraphEntry, graph_entry
from edgevae.errors import BundleError
from edgevae.json_fields import Fields

DECODER = {"role": "decoder", "target": "any", "precision": "float32", "file": "decoder.onnx"}


def entries(*changes):
    graphs = [{**DECODER, **each} for each in changes]
    graphs = [{key: value for key, value in each.items() if value is not None} for each in graphs]
    files = {"decoder.onnx", "x.onnx", "x"}
    return graph_entry.entries_from_json(Fields({"graphs": graphs}, "m"), files)


def test_an_entry_is_read_as_it_was_written():
    entry = GraphEntry("decoder", "x86_64", "int8", "x.onnx", 4096, 32, {1: 160.2, 16: 1510})
    assert GraphEntry.from_json(Fields(entry.as_json(), "m")) == entry
    assert entry.as_json()["call_us"] == {"1": 160.2, "16": 1510}
    assert entries({})[0].as_json() == DECODER  # what is unknown is not written


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"role": "critic"}, r"graphs\[1\]: role must be 'encoder' or"),
        ({"target": "../x"}, "target must be lower-case letters"),
        ({"precision": None}, "precision is missing"),
        ({"file": "y"}, "file must be one of the listed files, got 'y'"),
        ({"row_bytes": 1.5}, "row_bytes must be a whole number of at least 0, got 1.5"),
        ({"chunk_rows": 0}, "chunk_rows must be at least 1, got 0"),
        ({"file": "x"}, r"file must be named \*\.onnx"),
        ({"call_us": {"1" * 5000: 1}}, "must be named by a number of rows"),
        ({"call_us": []}, "call_us: expected an object"),
        ({"call_us": {"0": 1}}, "call_us: 0 must be named by a number of rows"),
        ({"call_us": {"1": -1}}, "1 must be a finite number of at least 0"),
        ({}, "one entry for decoder any float32"),
        ({"role": "encoder", "precision": "int8"}, "with a float32 encoder of target 'any'"),
    ],
)
def test_a_wrong_entry_is_refused(change, says):
    with pytest.raises(BundleError, match=says):
        entries({}, change)


@pytest.mark.parametrize("graphs", [None, {}, [1], []])
def test_a_list_of_entries_is_expected(graphs):
    with pytest.raises(BundleError, match="graphs"):
        graph_entry.entries_from_json(Fields({"graphs": graphs}, "m"), ())


def test_the_precision_comes_before_the_target():
    plain, tuned, small = found = entries(
        {}, {"target": "x86_64", "file": "x.onnx"}, {"precision": "int8"}
    )
    for precision, targets, expected in (
        ("float32", ("x86_64", "any"), tuned),
        ("float32", ("aarch64", "any"), plain),
        ("float32", (), plain),
        ("int8", ("x86_64",), small),
        ("bf16", ("x86_64",), tuned),
    ):
        assert graph_entry.find(found, "decoder", precision, targets) == expected
    with pytest.raises(BundleError, match="no encoder: it only decodes"):
        graph_entry.find(found, "encoder", "float32", ())

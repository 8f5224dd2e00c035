"""Scores as lines: a record for each item, in CSV or JSON, in a file or on standard output."""

import json
import os
import sys

import numpy as np
import pytest

from edgevae.errors import InputError
from edgevae.files import score_lines
from edgevae.scoring import Scores


@pytest.fixture
def scores():
    """Scores of two items of three features, the second of which is an anomaly."""
    parts = np.float32([[0, 1, 2], [3, 9, 6]])
    return Scores(np.array([3.0, 18.0]), np.array([0.5, 0.01]), np.array([False, True]), parts)


def test_a_record_names_the_features_that_add_most(vector, scores):
    first, second = score_lines.records(["a", 7], scores, vector)
    assert list(first) == ["id", "value", "p_value", "anomaly", "top"]
    assert (first["id"], second["id"]) == ("a", 7)
    assert (second["value"], second["p_value"], second["anomaly"]) == (18.0, 0.01, True)
    expected = [("load", 9.0), ("speed", 6.0), ("heat", 3.0)]
    assert [(each["feature"], each["nats"]) for each in second["top"]] == expected


def test_the_nats_of_a_signal_s_feature_are_summed_over_its_steps(signal):
    scores = Scores(np.array([1.0]), None, None, np.arange(8, dtype=np.float32).reshape(1, 2, 4))
    (record,) = score_lines.records([0], scores, signal)
    assert (record["p_value"], record["anomaly"]) == (None, None)
    assert [each["nats"] for each in record["top"]] == [4 + 5 + 6 + 7, 0 + 1 + 2 + 3]


def test_images_have_no_features_to_name(grey):
    scores = Scores(np.array([1.0]), None, None, np.zeros((1, 1, 8, 8), np.float32))
    (record,) = score_lines.records([0], scores, grey)
    assert "top" not in record


@pytest.mark.parametrize(
    ("out", "as_json", "form"),
    [("a.csv", True, "csv"), ("a.JSONL", False, "json"), ("a.ndjson", False, "json"),
     ("-", True, "json"), ("-", False, "csv")],
)  # fmt: skip
def test_the_name_gives_the_form(out, as_json, form):
    assert score_lines.form_of(out, as_json) == form


def test_another_name_is_refused():
    with pytest.raises(ValueError, match=r"ends in \.csv, \.jsonl, \.ndjson, got 'a\.png'"):
        score_lines.form_of("a.png", False)


def test_csv_and_json_hold_the_records(tmp_path, vector, scores):
    records = score_lines.records(["a", 'b "c", d'], scores, vector)
    for name, form in (("s.csv", "csv"), ("s.jsonl", "json")):
        with score_lines.open_writer(str(tmp_path / name), form) as write:
            write(records[:1])
            write(records[1:])
    assert (tmp_path / "s.csv").read_text().splitlines() == [
        "id,value,p_value,anomaly",
        "a,3.0,0.5,false",
        '"b ""c"", d",18.0,0.01,true',
    ]
    lines = (tmp_path / "s.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == records


def test_standard_output_receives_each_batch_at_once(capsys, vector, scores):
    records = score_lines.records([0, 1], scores, vector)
    with score_lines.open_writer("-", "csv") as write:
        write(records[:1])
        assert capsys.readouterr().out.splitlines()[1:] == ["0,3.0,0.5,false"]
        write(records[1:])
    assert capsys.readouterr().out == "1,18.0,0.01,true\n"


def test_an_error_before_the_first_batch_leaves_no_header(capsys):
    with pytest.raises(InputError), score_lines.open_writer("-", "csv"):
        raise InputError("no such file")
    assert capsys.readouterr().out == ""


def test_scores_of_no_items_are_a_header(capsys):
    with score_lines.open_writer("-", "csv"):
        pass
    assert capsys.readouterr().out == "id,value,p_value,anomaly\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a disk that is always full")
def test_a_full_standard_output_is_named(monkeypatch, vector, scores):
    with open("/dev/full", "w") as full, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", full)
        with (
            pytest.raises(InputError, match="cannot write standard output: No space left"),
            score_lines.open_writer("-", "csv") as write,
        ):
            write(score_lines.records([0, 1], scores, vector))
        os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())  # closing flushes once more

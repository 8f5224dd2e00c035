"""A verb's report goes to standard output, or to standard error if data are there."""

import json
import sys

import pytest

from edgevae.cli import reporting
from edgevae.cli.reporting import Result
from edgevae.errors import CheckError


def test_a_report_is_text_or_json(capsys):
    result = Result({"rows": 2}, text="two rows", message="done")
    assert reporting.deliver(result, as_json=False) == 0
    assert capsys.readouterr() == ("two rows\n", "edgevae: done\n")
    assert reporting.deliver(result, as_json=True) == 0
    out, err = capsys.readouterr()
    assert (json.loads(out), err) == ({"rows": 2}, "")


def test_a_report_does_not_mix_with_data(capsys):
    result = reporting.written("-", {"rows": 2, "note": ""}, code=10)
    assert reporting.deliver(result, as_json=True) == 10
    out, err = capsys.readouterr()
    assert (out, json.loads(err)) == ("", {"out": "-", "rows": 2, "note": ""})
    assert reporting.deliver(result, as_json=False) == 10
    assert capsys.readouterr() == ("", "edgevae: wrote standard output: rows 2\n")


def test_inputs_are_listed_as_the_command_line_has_them(capsys):
    reporting.deliver(reporting.written("a.png", {"inputs": ["b", "c"]}), as_json=False)
    assert capsys.readouterr().err == "edgevae: wrote a.png: inputs b c\n"


def test_a_failed_check_is_raised_after_its_report(capsys):
    with pytest.raises(CheckError, match="x_hat differs"):
        reporting.deliver(Result({}, text="table", failure="x_hat differs"), as_json=False)
    assert capsys.readouterr().out == "table\n"


@pytest.mark.parametrize("terminal", [False, True])
def test_progress_is_shown_on_a_terminal_alone(monkeypatch, capsys, terminal):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    assert list(reporting.progress([[1, 2], [3]], 3)) == [[1, 2], [3]]
    assert ("/3 [" in capsys.readouterr().err) is terminal

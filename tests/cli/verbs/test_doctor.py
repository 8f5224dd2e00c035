"""`edgevae doctor` prints its findings, and ends with 6 if there is a problem."""

import json

from edgevae import cli
from edgevae.diagnostics import doctor, numpy_import


def test_the_exit_code_is_6_if_there_is_a_problem(monkeypatch, capsys):
    findings = [doctor.Finding(doctor.OK, "a", "b"), doctor.Finding(doctor.NOTE, "c", "d")]
    monkeypatch.setattr(doctor, "examine", lambda: findings)
    numpy = doctor.Finding(doctor.OK, "numpy", "2")
    monkeypatch.setattr(numpy_import, "examine", lambda: numpy)
    assert cli.main(["doctor"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "ok       numpy: 2",
        "ok       a: b",
        "note     c: d",
    ]
    findings.append(doctor.Finding(doctor.PROBLEM, "e", "f", "g"))
    assert cli.main(["doctor", "--json"]) == 6
    out, err = capsys.readouterr()
    assert json.loads(out)[3] == {
        "level": "problem",
        "topic": "e",
        "says": "f",
        "fix": "g",
    }
    assert "problems with e" in err

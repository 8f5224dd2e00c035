"""`edgevae tune` stores what `info` then shows and the other verbs use."""

import json
from pathlib import Path

import pytest

import edgevae
from edgevae import cli
from edgevae.diagnostics.tune import candidates
from edgevae.engine import providers

QUICK = ["--threads", "2", "--seconds", "0"]


def report(capsys, *command: str) -> dict:
    assert cli.main([*command, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_dry_run_stores_nothing(grey, caches, capsys):
    assert cli.main(["tune", grey, "--provider", "cpu", *QUICK, "--dry-run"]) == 0
    assert "decoder of tiny-image" in capsys.readouterr().out
    assert not caches.exists()


def test_tune_stores_the_plans_that_info_shows(grey, caches, capsys):
    facts = report(capsys, "tune", grey, "--provider", "cpu", *QUICK)
    assert Path(facts["file"]).is_file()
    (setting,) = facts["settings"]
    assert (setting["provider"], setting["precision"]) == ("cpu", "float32")
    shown = report(capsys, "info", grey, "--threads", "2")
    for role, plan in setting["plans"].items():
        in_use = shown["plans_on_cpu"][role]
        assert (in_use.pop("source"), in_use.pop("call_threads")) == ("edgevae tune", 2)
        assert in_use == {key: plan[key] for key in in_use}
        assert shown["tuned"]["settings"]["cpu float32"][role] == plan
    assert shown["tuned"]["compared"] == []
    assert cli.main(["info", grey, "--threads", "2"]) == 0
    assert "of the fastest graph in the short round" in capsys.readouterr().out
    assert "tuned" not in report(capsys, "info", grey, "--threads", "1")


def test_info_says_that_other_versions_were_tuned(grey, caches, monkeypatch, capsys):
    report(capsys, "tune", grey, "--provider", "cpu", *QUICK)
    monkeypatch.setattr(edgevae, "__version__", "99.0")
    shown = report(capsys, "info", grey, "--threads", "2")
    assert shown["plans_on_cpu"]["decoder"]["source"] != "edgevae tune"
    assert shown["tuned"].startswith("with edgevae 0.")
    assert shown["tuned"].endswith("run `edgevae tune` again")


def test_all_providers_are_compared_unless_some_are_named(grey, caches, monkeypatch, capsys):
    monkeypatch.setattr(providers, "available", lambda: ["cpu"])
    facts = report(capsys, "tune", grey, "--min-psnr", "40", *QUICK)
    assert (facts["compared"], facts["min_psnr"]) == (["cpu"], 40.0)
    runs = report(capsys, "info", grey, "--threads", "2", "--precision", "auto")["runs"]
    assert runs["decoder"]["why"].startswith("edgevae tune found cpu to be the fastest on 20")


def test_a_provider_that_is_not_there_is_an_error(grey, caches, capsys):
    assert cli.main(["tune", grey, "--provider", "ghost", *QUICK]) == 5
    assert "ghost" in capsys.readouterr().err


@pytest.mark.parametrize("option", [["--min-psnr", "-1"], ["--precision", "fp4"]])
def test_options_that_mean_nothing_are_refused(grey, option):
    with pytest.raises(SystemExit):
        cli.main(["tune", grey, *option])


def test_a_bundle_that_nothing_runs_is_a_failed_check(grey, caches, monkeypatch, capsys):
    monkeypatch.setattr(candidates, "verify_runner", lambda runner: 1 / 0)
    assert cli.main(["tune", grey, "--provider", "cpu", *QUICK]) == 6
    assert "cpu float32 any: division by zero" in capsys.readouterr().err
    assert not caches.exists()

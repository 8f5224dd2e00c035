"""`edgevae tune` stores the plans that `info` then shows."""

import json
from pathlib import Path

from edgevae import cli


def test_tune_stores_the_plans_that_info_shows(grey, caches, capsys):
    command = ["tune", grey, "--provider", "cpu", "--seconds", "0"]
    assert cli.main([*command, "--dry-run"]) == 0
    assert "decoder in float32" in capsys.readouterr().out
    assert not caches.exists()
    assert cli.main([*command, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert [Path(path).is_file() for path in facts["files"]] == [True]
    assert [graph["role"] for graph in facts["graphs"]] == ["encoder", "decoder"]
    assert cli.main(["info", grey, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)["plans_on_cpu"]
    for graph in facts["graphs"]:
        plan = shown[graph["role"]]
        assert plan["source"] == "edgevae tune"
        assert {key: plan[key] for key in ("chunk", "single_call_rows")} == graph["tuned"]
        assert str(plan["chunk"]) in graph["rates"]

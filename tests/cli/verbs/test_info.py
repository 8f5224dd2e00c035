"""`edgevae info` and `tune` show which plans are in force."""

import json
from pathlib import Path

from edgevae import cli, vae
from edgevae.engine import plans


def test_info_says_what_runs_and_what_the_bundle_is(grey, capsys):
    assert cli.main(["info", grey, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["kernel"] in facts["kernels"]
    assert facts["runs"]["decoder"]["provider"] == "cpu"
    assert set(facts["runs"]["encoder"]["nodes"]) == {"cpu"}
    assert "auto tries cuda" in facts["runs"]["decoder"]["why"]
    assert "cpu" in facts["providers"]
    assert facts["threads"] >= 1
    assert facts["bundle"]["x_shape"] == [1, 8, 8]
    assert facts["bundle"]["files"]["decoder.onnx"]["bytes"] > 0
    assert facts["plans_on_cpu"]["decoder"]["workers"] == facts["threads"]
    assert cli.main(["info", grey]) == 0
    text = capsys.readouterr().out
    assert facts["bundle"]["files"]["decoder.onnx"]["sha256"][:16] in text
    assert "mixture of 5" in text


def test_info_shows_the_plans_of_the_provider_in_use(grey, monkeypatch, capsys):
    monkeypatch.setattr(vae.VAE, "provider", "another")
    assert cli.main(["info", grey, "--threads", "3", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["plans_on_cpu"]["decoder"]["workers"] == 3
    expected = plans.choose(
        vae.load(grey).bundle, "decoder", plans.Setting("another", "float32", 3)
    )
    assert facts["plans_on_another"]["decoder"] == expected._asdict()


def test_tune_keeps_what_info_then_shows(grey, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(plans, "_caches", lambda: tmp_path / "caches")
    command = ["tune", grey, "--provider", "cpu", "--seconds", "0"]
    assert cli.main([*command, "--dry-run"]) == 0
    assert "decoder in float32" in capsys.readouterr().out
    assert not (tmp_path / "caches").exists()
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

"""`edgevae info` shows a bundle and the plans that are in use."""

import json
from pathlib import Path

from edgevae import cli, vae
from edgevae.engine.targets import architecture


def test_info_describes_the_bundle_and_what_runs_it(grey, capsys):
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


def test_info_says_which_graph_runs_and_why(capsys):
    targets = str(Path(__file__).parents[2] / "bundle" / "schema2" / "targets")
    assert cli.main(["info", targets, "--provider", "cpu", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    decoder, encoder = (facts["runs"][role]["graph"] for role in ("decoder", "encoder"))
    here = architecture()
    assert encoder["why"] == f"any, since the bundle has none for {here} in float32"
    if here in ("x86_64", "aarch64"):
        assert decoder["file"] == "decoder.x86_64.onnx"  # that both of them share
        assert decoder["why"] == f"{here}, as this machine is one"
    assert cli.main(["info", targets]) == 0
    text = capsys.readouterr().out
    assert "role decoder, target any, precision float32, file decoder.onnx, call us 1: 25.0" in text
    assert decoder["why"] in text


def test_info_shows_the_plans_in_use(grey, capsys):
    assert cli.main(["info", grey, "--threads", "3", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    opened = vae.load(grey, threads=3)
    assert facts["plans_on_cpu"] == {
        role: opened.plan(role)._asdict() for role in ("encoder", "decoder")
    }
    assert facts["plans_on_cpu"]["decoder"]["workers"] == 3

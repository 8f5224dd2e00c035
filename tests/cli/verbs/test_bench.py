"""`edgevae bench` measures cases in processes of their own and compares them with a baseline."""

import json

import pytest
from PIL import Image

from edgevae import cli
from edgevae.cli.verbs import bench as verb
from edgevae.diagnostics import bench
from edgevae.plots import canvas

QUICK = ["--provider", "cpu", "--rounds", "1", "--seconds", "0", "--percentile", "50"]


def test_bench_measures_both_runners_in_processes_of_their_own(tiny_paths, tmp_path, capsys):
    model, picture, out = str(tiny_paths["colour"]), tmp_path / "b.png", tmp_path / "b.json"
    run = ["bench", "--model", model, *QUICK, "--batch", "1", "--batch", "3"]
    assert cli.main([*run, "--json", "--chart", str(picture), "--out", str(out)]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts == json.loads(out.read_text())
    assert facts["model"]["name"] == "tiny-image"
    assert [row["runner"] for row in facts["rows"]] == ["sess.run", "edgevae"]
    for row in facts["rows"]:
        assert list(row["calls"]) == ["1", "3"]
        calls = row["calls"]["1"]
        assert (calls["calls"], calls["p90_ms"]) == (10, None)
        assert calls["times_plain"] > 0
        assert min(row["cold"].values()) > 0
    assert set(facts["rows"][1]["nodes"]["decoder"]) == {"cpu"}
    assert facts["rows"][0]["nodes"] is None  # the plain script does not ask
    with Image.open(picture) as image:
        assert image.size[0] == canvas.WIDTH * canvas.SCALE


def test_a_baseline_is_compared_with(tiny_paths, tmp_path, capsys):
    old = tmp_path / "old.json"
    run = ["bench", "--model", str(tiny_paths["vector"]), *QUICK, "--batch", "2"]
    assert cli.main([*run, "--verb", "encode", "--threads", "1", "--out", str(old)]) == 0
    again = [*run, "--verb", "encode", "--threads", "1", "--baseline", str(old)]
    capsys.readouterr()
    assert cli.main([*again, "--fail-if-slower"]) == 0
    shown = capsys.readouterr().out
    assert "cpu: encode, 1 thread, 1 caller" in shown
    assert "     2  edgevae compiled" in shown
    assert bench.baseline.FEW in shown
    assert cli.main([*run, "--verb", "score", "--baseline", str(old)]) == 4


def test_a_case_that_is_slower_fails_if_asked_to(tiny_paths, tmp_path, monkeypatch, capsys):
    old = tmp_path / "old.json"
    run = ["bench", "--model", str(tiny_paths["vector"]), *QUICK, "--batch", "1"]
    assert cli.main([*run, "--out", str(old)]) == 0
    monkeypatch.setattr(bench.baseline, "slower", lambda _: ["edgevae compiled"])
    assert cli.main([*run, "--baseline", str(old)]) == 0
    assert cli.main([*run, "--baseline", str(old), "--fail-if-slower"]) == 6
    assert f"slower than {old}: edgevae compiled" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--chart", "a.jpg"], "ends in .png, got 'a.jpg'"),
        (["--out", "a.txt"], "ends in .json, got 'a.txt'"),
        (["--fail-if-slower"], "expected with --baseline"),
        (["--option", "device_type=GPU"], "expected PROVIDER.NAME=VALUE, got 'device_type=GPU'"),
        (["--provider", "cpu", "--option", "cuda.a=1"], "cuda is not among the providers"),
    ],
)
def test_options_that_make_no_sense_are_refused(capsys, options, message):
    with pytest.raises(SystemExit, match="2"):
        cli.main(["bench", *options])
    assert message in capsys.readouterr().err


def test_what_cannot_be_opened_is_refused_before_measuring(tiny_paths, capsys):
    run = ["bench", "--model", str(tiny_paths["vector"]), "--provider", "cpu"]
    assert cli.main([*run, "--precision", "bf16"]) == 5
    assert cli.main([*run, "--precision", "int8"]) == 3
    assert "has only float32" in capsys.readouterr().err


def test_the_parser_offers_what_bench_measures():
    assert (verb.GRAPHS, verb.VERBS) == (bench.cases.GRAPHS, bench.cases.VERBS)
    assert verb.PERCENTILES == bench.percentiles.PERCENTILES

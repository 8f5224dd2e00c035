"""`edgevae score` flags unusual items, and answers line by line."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import environment, pixels
from tiny import Tiny

from edgevae import cli


@pytest.fixture
def grey_items(tinies, tmp_path, monkeypatch) -> list:
    """One image of the bundle grey, which is written to the empty current folder."""
    monkeypatch.chdir(tmp_path)
    tinies["grey"].write(Path("grey"))
    return [[[0.5] * 8] * 8]


def feed_stdin(monkeypatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))


def test_score_flags_unusual_items_and_ends_with_10(judge, capsys):
    Path("x.csv").write_text("e,a,b,c,d,id\n0,0,0,0,0,calm\n0,0,0,99,0,wild\n")
    assert cli.main(["score", "x.csv", "--model", judge, "--out", "s.csv"]) == 10
    header, calm, wild = Path("s.csv").read_text().splitlines()
    assert header == "id,value,p_value,anomaly"
    assert (calm.split(",")[0], calm.split(",")[3]) == ("calm", "false")
    assert wild.split(",")[3] == "true"
    assert float(wild.split(",")[2]) == pytest.approx(1 / 201)
    assert cli.main(["score", "x.csv", "--model", judge, "--alpha", "0.001"]) == 4
    assert "takes at least 999 held-out normal items" in capsys.readouterr().err
    assert cli.main(["score", "x.csv", "--model", judge, "--method", "recon", "--json"]) == 10
    wild = json.loads(capsys.readouterr().out.splitlines()[1])
    nats = [feature["nats"] for feature in wild["top"]]
    assert len(nats) == 3
    assert nats == sorted(nats, reverse=True)
    assert {feature["feature"] for feature in wild["top"]} < set("abcde")
    assert wild["anomaly"] is True


def test_score_of_normals_ends_with_0(judge, capsys):
    Path("x.csv").write_text("a,b,c,d,e\n0,0,0,0,0\n")
    assert cli.main(["score", "x.csv", "--model", judge, "--out", "s.jsonl", "--json"]) == 0
    assert json.loads(Path("s.jsonl").read_text())["anomaly"] is False
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (report["rows"], report["flagged"]) == (1, 0)


def test_without_calibration_a_threshold_flags(judge, capsys):
    Path("x.csv").write_text("0,0,0,0,0\n0,0,0,99,0\n")
    command = ["score", "x.csv", "--model", "model", "--method", "recon"]
    assert cli.main(command) == 0
    first, second = capsys.readouterr().out.splitlines()[1:]
    assert first.endswith(",,")
    value = second.split(",")[1]
    assert cli.main([*command, "--threshold", value]) == 10
    assert cli.main([*command, "--threshold", str(float(value) + 1)]) == 0
    assert cli.main([*command, "--alpha", "0.1"]) == 4
    with pytest.raises(SystemExit, match="2"):
        cli.main([*command, "--alpha", "0.1", "--threshold", "3"])
    with pytest.raises(SystemExit, match="2"):
        cli.main([*command, "--heatmaps", "maps/"])
    with pytest.raises(SystemExit, match="2"):
        cli.main([*command, "--out", "scores.png"])


def test_rows_on_standard_input_are_answered_until_a_bad_one(judge, capsys, monkeypatch):
    feed_stdin(monkeypatch, '{"x": [0, 0, 0, 0, 0], "id": "p"}\n[0, 0, 0, 0, 1]\n[0, 0]\n[1]\n')
    assert cli.main(["score", "-", "--model", judge, "--json"]) == 4
    out, err = capsys.readouterr()
    assert [json.loads(line)["id"] for line in out.splitlines()] == ["p", 1]
    assert "standard input, line 3: expected x of shape (5,), got [0, 0]" in err
    feed_stdin(monkeypatch, "a,b,c,d,e\n0,0,0,0,0\n0,0,0,0,0\n")
    assert cli.main(["score", "-", "--model", judge]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    feed_stdin(monkeypatch, "")
    assert cli.main(["score", "-", "--model", judge]) == 0


def test_each_row_is_answered_before_the_next_one_is_read(judge):
    command = [sys.executable, "-m", "edgevae", "score", "-", "--model", judge, "--json"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, env=environment(), text=True, bufsize=1, **pipes) as process:
        for i in range(3):
            process.stdin.write("[0, 0, 0, 0, 0]\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["id"] == i  # or the test hangs
        process.stdin.close()
        assert process.wait(30) == 0


def test_images_get_heat_maps(grey, files):
    command = ["score", "images", "--model", grey, "--method", "recon", "--heatmaps", "maps/"]
    assert cli.main([*command, "--out", "s.csv"]) == 0
    assert [line.split(",")[0] for line in Path("s.csv").read_text().splitlines()[1:]] == [
        Path(file).stem for file in files
    ]
    assert sorted(os.listdir("maps")) == sorted(os.listdir("images"))
    assert pixels(f"maps/{Path(files[0]).name}").shape == (224, 448, 3)
    assert cli.main(["score", "images", "--model", grey]) == 4  # no statistics


def test_what_is_left_out_is_said_and_stands_in_the_report(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Tiny("signal", (2, 4), None, (3,)).write(Path("signal"))
    Path("x.csv").write_text("1,2\n" * 6)
    command = ["score", "x.csv", "--model", "signal", "--method", "recon", "--out", "s.csv"]
    assert cli.main([*command, "--json"]) == 0
    out, err = capsys.readouterr()
    (note,) = json.loads(out)["notes"]
    assert "2 of 6 steps are in no window" in note
    assert note in err
    Path("x.csv").write_text("1,2\n" * 3)
    assert cli.main(command) == 4


def test_heat_maps_stay_in_their_folder_and_none_replaces_another(grey_items, capsys):
    lines = [
        json.dumps({"x": grey_items, "id": id}) for id in ("../../x", "/tmp/x", "same", "same")
    ]
    Path("x.jsonl").write_text("\n".join(lines))
    before = set(Path(os.pardir).resolve().rglob("*"))
    command = ["score", "x.jsonl", "--model", "grey", "--method", "recon", "--heatmaps", "maps"]
    assert cli.main(command) == 0
    assert sorted(path.name for path in Path("maps").iterdir()) == [
        "_._.._x.png", "_tmp_x.png", "same-2.png", "same.png"
    ]  # fmt: skip
    new = set(Path(os.pardir).resolve().rglob("*")) - before
    assert {path.parent for path in new} == {Path("maps").resolve(), Path.cwd()}


def test_a_score_that_is_not_finite_is_refused(judge, capsys):
    Path("x.csv").write_text("a,b,c,d,e\n0,0,0,0,0\n3e38,3e38,3e38,3e38,3e38\n")
    for method in ("recon", "default", "mahalanobis", "elbo"):
        assert cli.main(["score", "x.csv", "--model", judge, "--method", method]) != 0
        out, err = capsys.readouterr()
        assert "nan" not in out
        assert "inf" not in out
        assert err


@pytest.mark.parametrize("option", ["--alpha", "--threshold"])
@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e999", "NaN"])
def test_no_number_is_wrong_usage(judge, option, value):
    Path("x.csv").write_text("0,0,0,0,0\n")
    with pytest.raises(SystemExit, match="2"):
        cli.main(["score", "x.csv", "--model", judge, f"{option}={value}"])

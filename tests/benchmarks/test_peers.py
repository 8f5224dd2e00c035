"""The benchmark of peers: its decoders, its arithmetic, and one short run of all of it."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import bench_peers
import decoders
import numpy as np
import peers
import peers_chart
import peers_table
import pytest
import torch
from PIL import Image

import edgevae
from edgevae import bundle
from edgevae.plots import canvas


def row(candidate: str, seconds: list[float], single: float | None = None) -> bench_peers.Row:
    return {
        "decoder": "M2",
        "candidate": candidate,
        "rows": 100,
        "flops": 2 * peers.SGEMM_SIDE**3 // 100,
        "values": 784,
        "passes": ["phases"],
        "compiled_flops": 1,
        "how": "somehow",
        "error": 1e-6,
        "seconds": seconds,
        "single_seconds": [[single] * 10] * len(seconds) if single else [],
    }


ABSENT = {"absent": "not installed: pip install openvino"}
ROWS = [
    row("onnxruntime", [1.0, 2.0, 30.0], single=0.010),
    row("PyTorch, one batch", [2.0, 4.0, 20.0]),
    row("torch.compile", [0.8, 1.6, 8.0]),
    {**row("OpenVINO float32", []), **ABSENT},
    row("edgevae float32", [0.5, 0.8, 3.0], single=0.005),
    row(peers.SGEMM, [0.25, 0.5, 1.0]),
]


def test_ratios_are_medians_over_rounds_of_the_ratio_within_one():
    summary = {found["candidate"]: found for found in bench_peers.summarise(ROWS)}
    assert peers.SGEMM not in summary
    ours = summary["edgevae float32"]
    assert ours["images_per_s"] == 100 / 0.8
    assert ours["times_naive"] == 2.5
    assert ours["share_of_sgemm"] == pytest.approx(0.5)
    assert (ours["p50_ms"], ours["p99_ms"], ours["single_times_naive"]) == (5, 5, 2)
    assert summary["onnxruntime"]["times_naive"] == 1
    assert "p50_ms" not in summary["torch.compile"]
    assert "times_naive" not in summary["OpenVINO float32"]


def test_goals_are_judged_where_both_sides_are_there():
    found = {v["goal"]: v for v in bench_peers.judge(bench_peers.summarise(ROWS))}
    assert found["edgevae float32, times onnxruntime: at least"]["met"]
    best = found["edgevae float32, times best PyTorch: at least"]
    assert (best["got"], best["asked"], best["met"]) == (2.0, 1.5, True)
    openvino = found["edgevae float32, times OpenVINO float32: at least"]
    assert (openvino["got"], openvino["met"]) == (None, False)
    assert found["edgevae float32, p50 over naive's: at most"]["got"] == 0.5
    assert found["edgevae float32, error: at most"]["met"]
    slower = [{**r, "error": 1e-4, "times_naive": 2.4} for r in ROWS]
    found = {v["goal"]: v for v in bench_peers.judge(bench_peers.summarise(slower))}
    assert not found["edgevae float32, error: at most"]["met"]


def test_a_goal_that_only_some_rounds_reach_says_so():
    clear = bench_peers.verdict("M3", "faster", 1.9, [2.0, 2.2, 2.1])
    torn = bench_peers.verdict("M3", "faster", 1.9, [1.79, 2.21, 2.5])
    assert (clear["met"], clear["unanimous"]) == (True, True)
    assert (torn["got"], torn["met"], torn["unanimous"]) == (2.21, True, False)
    lines = bench_peers.verdicts_table([clear, torn]).splitlines()
    assert lines[1].endswith("met")
    assert lines[2].endswith("1.79 to 2.5      met, not in every round")


def test_a_machine_that_was_not_quiet_is_named():
    summary = bench_peers.summarise(ROWS)
    assert "not quiet: naive's rounds differ by 2900%" in bench_peers.table(summary)
    calm = [{**r, "seconds": [1.0, 1.1, 1.05]} for r in summary if "absent" not in r]
    assert "not quiet" not in bench_peers.table(calm)


def test_flops_of_a_graph_are_those_of_its_module(tmp_path):
    for name in ("M1", "M3", "M4"):
        model = decoders.DECODERS[name]()
        decoders.export(model, tmp_path / name)
        assert peers.graph_flops(tmp_path / name) == model.flops()


def test_without_the_reference_there_is_no_summary():
    with pytest.raises(bench_peers.FailedError, match=r"sgemm.* pip install torch"):
        bench_peers.summarise(
            [*ROWS[:-1], {**ROWS[-1], "absent": "not installed: pip install torch"}]
        )


def test_the_table_and_the_chart_hold_every_candidate():
    summary = bench_peers.summarise(ROWS)
    lines = bench_peers.table(summary).splitlines()
    assert len(lines) == 4 + len(summary)
    assert any(line.endswith("not installed: pip install openvino") for line in lines)
    assert "2.50x" in next(line for line in lines if line.startswith("edgevae float32"))
    assert set(peers_chart.INKS) == set(peers.CANDIDATES) - {peers.SGEMM}
    image = peers_chart.draw(
        summary, {("M2", "edgevae float32"): 2.5}, title="title", subtitle="subtitle"
    )
    colours = {f"#{r:02x}{g:02x}{b:02x}" for _, (r, g, b) in image.getcolors(2**24)}
    present = {row["candidate"] for row in summary if "absent" not in row}
    assert {peers_chart.INKS[name] for name in present} <= colours


def test_the_tables_of_the_docs_hold_what_was_measured():
    summary = bench_peers.summarise(ROWS)
    other = [{**r, "decoder": "M3"} for r in summary if r["candidate"] != "torch.compile"]
    found = peers_table.tables(summary + other)
    assert [line[0] for line in found["peers"]] == [
        "onnxruntime",
        "PyTorch, one batch",
        "torch.compile",
        "edgevae float32",
        "edgevae float32, of sgemm",
    ]
    assert found["peers"][2:4] == [
        ["torch.compile", "1.25x", "-"],
        ["edgevae float32", "2.50x", "2.50x"],
    ]
    assert found["peers, one row"][-1] == ["edgevae float32", "2.00x", "2.00x"]
    text = peers_table.markdown(summary + other)
    assert "<!-- table: peers -->\n| candidate | M2 | M3 |\n| --- | --- | --- |\n" in text
    assert text.endswith("Not measured: OpenVINO float32. not installed: pip install openvino")


def test_the_chart_is_drawn_again_from_a_report(tmp_path, capsys):
    summary = bench_peers.summarise(ROWS)
    here = {"cpu": "a", "threads": 2, "onnxruntime": "1"}
    path = tmp_path / "peers.json"
    path.write_text(json.dumps({"machine": here, "rows": summary, "goals": []}))
    bench_peers.draw(path, json.loads(path.read_text()))
    assert path.with_suffix(".png").is_file()
    assert "<!-- table: peers, one row -->" in capsys.readouterr().out


def test_flops_are_two_for_each_multiply_add():
    assert decoders.m1().flops() == 2 * (20 * 400 + 400 * 784)
    transposed = 7 * 7 * 128 * 64 * 16 + 14 * 14 * 64 * 32 * 16
    assert decoders.m2().flops() == 2 * (32 * 128 * 49 + transposed + 28 * 28 * 32 * 9)


@pytest.mark.parametrize("name", decoders.DECODERS)
def test_decoders_are_the_same_each_time_and_stay_within_reach(name):
    one, other = decoders.DECODERS[name](), decoders.DECODERS[name]()
    z = one.latents(4)
    with torch.inference_mode():
        x_hat = one(z)
        assert torch.equal(x_hat, other(other.latents(4)))
    assert not one.training
    assert 0.05 < x_hat.std() < 1
    assert x_hat.abs().max() < 4


def test_the_shipped_decoder_is_rebuilt_as_it_was_trained():
    check = bundle.read(bundle.find("fashion")).selfcheck()
    with torch.inference_mode():
        x_hat = decoders.fashion()(torch.from_numpy(check["z"])).numpy()
    assert np.abs(x_hat - check["x_hat"]).max() < 1e-5


def test_a_quick_run_has_every_candidate_with_its_error(tmp_path):
    out = tmp_path / "peers.json"
    command = [sys.executable, bench_peers.__file__, "--quick", "--out", str(out)]
    paths = [str(Path(edgevae.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(out.read_text())
    rows = {found["candidate"]: found for found in report["rows"]}
    assert list(rows) == [name for name in peers.CANDIDATES if name != peers.SGEMM]
    for name in ("onnxruntime", "PyTorch, one batch", "PyTorch, best chunk", "edgevae float32"):
        assert rows[name]["error"] < 1e-5
        assert rows[name]["images_per_s"] > 0
        assert rows[name]["share_of_sgemm"] > 0
    for name in ("onnxruntime", "PyTorch, one batch", "edgevae float32", "edgevae int8"):
        assert rows[name]["single_times_naive"] > 0
    for name in ("onnxruntime cuda", "edgevae cuda float32"):
        assert "absent" in rows[name] or rows[name]["error"] < 1e-5
    if importlib.util.find_spec("openvino") is None:
        assert rows["OpenVINO float32"]["absent"] == ABSENT["absent"]
    for name in rows:
        assert name in done.stdout
    assert {found["decoder"] for found in report["goals"]} == {"M1"}
    with Image.open(out.with_suffix(".png")) as image:
        assert image.width == canvas.WIDTH * canvas.SCALE


def test_a_candidate_that_fails_says_why(tmp_path):
    with pytest.raises(bench_peers.FailedError, match=r"failed: FileNotFoundError: .*z\.npy"):
        bench_peers.start("onnxruntime", "M1", tmp_path)

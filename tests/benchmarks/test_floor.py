"""The benchmark of the floor: its statistics, its plain side, and one short run."""

import json
import math
import subprocess
import sys
from pathlib import Path

import bench_floor
import pytest


@pytest.mark.parametrize(("count", "rank"), [(6, 1), (8, 1), (9, 2), (15, 4), (25, 8)])
def test_the_interval_has_the_ranks_of_the_binomial_distribution(count: int, rank: int) -> None:
    below = sum(math.comb(count, k) for k in range(rank)) / 2**count
    assert below <= 0.025 < below + math.comb(count, rank) / 2**count
    values = [*range(1, count + 1)]
    assert bench_floor.interval(values[::-1]) == (rank, count + 1 - rank)


def test_an_entry_fails_only_if_its_whole_interval_is_above_the_limit() -> None:
    entry = bench_floor.Entry("mlp", "decode", 1, 1, "1", 1.2, 1.0, 1.2, 1.04, 1.3)
    assert entry.passed
    assert not entry._replace(low=1.06).passed


def test_a_short_run_writes_its_entries_and_those_left_out(tmp_path: Path) -> None:
    command = [sys.executable, bench_floor.__file__, "--cache", str(tmp_path), "--pairs", "2"]
    command += ["--model", "mlp_small", "--rows", "1", "65", "--threads", "1", "--limit", "1e-9"]
    command += ["--out", str(tmp_path / "floor.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr  # the figures are not of interest here
    report = json.loads((tmp_path / "floor.json").read_text())
    assert [entry["verb"] for entry in report["entries"]] == [*bench_floor.VERBS]
    assert len(report["left_out"]) == len(bench_floor.VERBS)
    assert all(entry["low"] <= entry["ratio"] <= entry["high"] for entry in report["entries"])

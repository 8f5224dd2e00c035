"""`edgevae bench` measures both runners in processes of their own."""

import json

from PIL import Image

from edgevae import cli
from edgevae.plots import canvas


def test_bench_measures_both_runners_in_processes_of_their_own(tiny_paths, tmp_path, capsys):
    model, picture = str(tiny_paths["colour"]), tmp_path / "bench.png"
    run = ["bench", "--model", model, "--provider", "cpu", "--rounds", "1", "--seconds", "0"]
    assert cli.main([*run, "--batch", "1", "--batch", "3", "--json", "--chart", str(picture)]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["model"] == "tiny-image"
    assert [row["runner"] for row in facts["rows"]] == ["edgevae", "sess.run"]
    for row in facts["rows"]:
        assert list(row["batches"]) == ["1", "3"]
        assert 0 < row["batches"]["1"]["p50_ms"] <= row["batches"]["1"]["p99_ms"]
        assert min(row["cold"].values()) > 0
    assert set(facts["rows"][0]["nodes"]) == {"cpu"}
    assert facts["rows"][1]["nodes"] is None  # the plain script does not ask
    with Image.open(picture) as image:
        assert image.size[0] == canvas.WIDTH * canvas.SCALE

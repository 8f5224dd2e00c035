"""Files of every verb: tables, pictures of another size, and enlarged pictures."""

from pathlib import Path

import numpy as np
import pytest
from command_line import pixels
from PIL import Image

from edgevae import cli, vae


def test_pictures_of_another_size_are_resized_on_request(grey, files, capsys):
    with Image.open(files[0]) as image:
        image.resize((16, 24)).save("large.png")
    verbs = (
        ["encode", "large.png"],
        ["reconstruct", "large.png"],
        ["denoise", "large.png"],
        ["vary", "large.png"],
        ["traverse", "large.png"],
        ["interpolate", "large.png", files[1]],
        ["score", "large.png", "--method", "recon"],
    )
    for verb in verbs:
        assert cli.main([*verb, "--model", grey]) == 4
        assert (
            "large.png: expected an image of 8 x 8 pixels, got 16 x 24" in capsys.readouterr().err
        )
        assert cli.main([*verb, "--model", grey, "--resize"]) == 0
    assert pixels("reconstructed.png").shape == (8, 8)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_every_verb_that_reads_takes_tables(tiny_paths, tmp_path, monkeypatch, suffix):
    monkeypatch.chdir(tmp_path)
    table, model = f"x{suffix}", str(tiny_paths["vector"])
    rows = ["[0, 1, 2, 3, 4]", "[4, 3, 2, 1, 0]"]
    lines = rows if suffix == ".jsonl" else ["a,b,c,d,e", *(row[1:-1] for row in rows)]
    Path(table).write_text("\n".join(lines) + "\n")
    x = np.float32([[0, 1, 2, 3, 4], [4, 3, 2, 1, 0]])
    assert cli.main(["encode", table, "--model", model]) == 0
    with np.load("latents.npz") as latents:
        np.testing.assert_allclose(latents["mu"], vae.load(model).encode(x).mu, atol=1e-6)
    assert cli.main(["reconstruct", table, "--model", model]) == 0
    expected = vae.load(model).reconstruct(x)
    got = np.loadtxt("reconstructed.csv", np.float32, delimiter=",", skiprows=1)
    np.testing.assert_allclose(got[:, 1:], expected, atol=1e-6)
    assert cli.main(["vary", table, "-n", "3", "--model", model]) == 0
    assert np.load("varied.npy").shape == (6, 5)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_rows_are_written_as_tables_that_every_verb_takes_back(
    tiny_paths, tmp_path, monkeypatch, suffix
):
    pytest.importorskip("pyarrow")
    monkeypatch.chdir(tmp_path)
    model = ["--model", str(tiny_paths["vector"])]
    run = ["generate", "4", "--seed", "1", "--start", "9", *model]
    for out in (f"x{suffix}", "x.npy"):
        assert cli.main([*run, "--out", out]) == 0
    assert cli.main(["encode", f"x{suffix}", *model, "--out", f"z{suffix}"]) == 0
    assert cli.main(["decode", f"z{suffix}", *model, "--out", "decoded.npy"]) == 0
    expected = vae.load(model[1]).reconstruct(np.load("x.npy"))
    np.testing.assert_array_equal(np.load("decoded.npy"), expected)
    if suffix == ".csv":
        ids = [line.split(",")[0] for line in Path("z.csv").read_text().splitlines()]
        assert ids == ["id", "9", "10", "11", "12"]


def test_a_sheet_is_enlarged_and_labelled_unless_a_scale_says_otherwise(grey, files):
    run = ["traverse", files[0], "--steps", "5", "--dim", "3", "--dim", "1", "--model", grey]
    for scale in ([], ["--scale", "1"], ["--scale", "4"]):
        assert cli.main([*run, *scale, "--out", "a.png"]) == 0
        height, width = pixels("a.png").shape
        if scale == ["--scale", "1"]:
            assert (height, width) == (16, 40)
        elif scale:
            assert height == 2 * 32 + 3 * 4
            assert width > 5 * 32 + 6 * 4  # a margin for the labels
        else:
            assert height > 400
    assert cli.main([*run, "--out", "a.webp"]) == 0
    with Image.open("a.webp") as image:
        assert image.format == "WEBP"

"""`edgevae generate` writes the rows of the library."""

import json

import numpy as np
import pytest
from command_line import pixels
from PIL import Image

from edgevae import cli, vae
from edgevae.packing import pack


def test_generate_writes_the_rows_of_the_library(grey, capsys):
    run = ["generate", "16", "--seed", "7", "--model", grey, "--scale", "1"]
    assert cli.main([*run, "--out", "a.png"]) == 0
    expected = pack(vae.load(grey).generate(16, seed=7))[..., 0]
    sheet = pixels("a.png").reshape(4, 8, 4, 8).swapaxes(1, 2).reshape(16, 8, 8)
    assert np.array_equal(sheet, expected)
    assert "wrote a.png: rows 16, seed 7" in capsys.readouterr().err


def test_the_seed_that_generate_prints_repeats_the_result(grey, capsys):
    assert cli.main(["generate", "3", "--model", grey]) == 0
    seed = capsys.readouterr().err.split("--seed ")[1].split(" ")[0]
    assert cli.main(["generate", "3", "--model", grey, "--seed", seed, "--out", "b.png"]) == 0
    assert np.array_equal(pixels("samples.png"), pixels("b.png"))
    assert cli.main(["generate", "3", "--model", grey, "--out", "c.png"]) == 0
    assert not np.array_equal(pixels("samples.png"), pixels("c.png"))


@pytest.mark.parametrize("scale", [[], ["--scale", "2"]])
def test_a_picture_carries_the_command_that_repeats_it(grey, scale):
    assert cli.main(["generate", "3", "--model", grey, "--start", "5", *scale]) == 0
    with Image.open("samples.png") as image:
        again = image.text["edgevae"].replace("tiny-image", grey).split()
        first = np.asarray(image)
    assert cli.main([*again, "--out", "again.png"]) == 0
    assert np.array_equal(first, pixels("again.png"))


def test_start_continues_a_run(grey):
    for n, start, out in ((7, 0, "all.npy"), (3, 0, "a.npz"), (4, 3, "b.npz")):
        run = ["generate", str(n), "--start", str(start), "--seed", "7", "--out", out]
        assert cli.main([*run, "--model", grey]) == 0
    with np.load("a.npz") as a, np.load("b.npz") as b:
        np.testing.assert_allclose(
            np.concatenate([a["x_hat"], b["x_hat"]]), np.load("all.npy"), atol=1e-6
        )
        assert (b["seed"], b["start"]) == (7, 3)


@pytest.mark.parametrize("name", ["grey", "colour", "vector"])
def test_arrays_are_float_as_trained(tiny_paths, name, tmp_path):
    model, out = str(tiny_paths[name]), str(tmp_path / "x.npy")
    assert cli.main(["generate", "9", "--seed", "3", "--model", model, "--out", out]) == 0
    expected = vae.load(model).generate(9, seed=3)
    np.testing.assert_allclose(np.load(out), expected, atol=1e-6)


def test_dtype_uint8_makes_images(tiny_paths, tmp_path):
    model, out = str(tiny_paths["colour"]), str(tmp_path / "x.npy")
    run = ["generate", "9", "--seed", "3", "--model", model, "--out", out, "--dtype", "uint8"]
    assert cli.main(run) == 0
    got, expected = np.load(out), vae.load(model).generate(9, seed=3, dtype="uint8")
    assert got.dtype == np.uint8
    assert got.shape == (9, 8, 6, 3)
    assert np.abs(got.astype(int) - expected).max() <= 1  # floats on two sides of one half


def test_json_reports_on_standard_output(grey, capsys):
    assert cli.main(["generate", "2", "--model", grey, "--json", "--out", "a.npy"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["out"] == "a.npy"
    assert 0 <= report["seed"] < 2**64
    assert report["provider"] == "cpu"


def test_no_rows_are_an_empty_array(grey):
    assert cli.main(["generate", "0", "--model", grey, "--out", "a.npy"]) == 0
    assert np.load("a.npy").shape == (0, 1, 8, 8)


def test_labels_are_names_or_numbers(tiny_paths, tmp_path):
    out = str(tmp_path / "x.npy")
    command = ["generate", "4", "--model", str(tiny_paths["classes"]), "--seed", "1", "--out", out]
    model = vae.load(tiny_paths["classes"], "cpu")
    for labels, same in ((["hat"], "hat"), (["1"], 1), (["0", "hat", "0", "1"], [0, 2, 0, 1])):
        assert cli.main([*command, "--labels", *labels]) == 0
        np.testing.assert_allclose(np.load(out), model.generate(4, seed=1, labels=same), atol=1e-6)
    assert cli.main([*command, "--labels", "shoe"]) == 4

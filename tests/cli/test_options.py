"""Values of options are checked, and the options that verbs share mean the same everywhere."""

import argparse
from pathlib import Path

import numpy as np
import pytest
from command_line import pixels
from PIL import Image

from edgevae import cli, vae
from edgevae.cli import options
from edgevae.engine import runner


def test_the_precisions_of_the_parser_are_those_of_the_engine():
    assert options.PRECISIONS == runner.PRECISIONS


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


def test_decode_reconstruct_and_interpolate_take_labels(tiny_paths, tmp_path):
    bundle = ["--model", str(tiny_paths["classes"])]
    model = vae.load(tiny_paths["classes"], "cpu")
    x = model.generate(3, seed=1)
    inputs, latents, out = (str(tmp_path / name) for name in ("x.npy", "z.npz", "out.npy"))
    np.save(inputs, x)
    assert cli.main(["encode", inputs, "--out", latents, *bundle]) == 0
    assert cli.main(["decode", latents, "--labels", "hat", "0", "1", "--out", out, *bundle]) == 0
    mu = model.encode(x).mu
    np.testing.assert_allclose(np.load(out), model.decode(mu, labels=[2, 0, 1]), atol=1e-6)
    assert cli.main(["reconstruct", inputs, "--labels", "hat", "--out", out, *bundle]) == 0
    np.testing.assert_allclose(np.load(out), model.reconstruct(x, labels=2), atol=1e-6)
    walk = ["interpolate", "--seed", "1", "--steps", "3", "--labels", "1", "--out", out]
    assert cli.main([*walk, *bundle]) == 0
    ends = model.decode(model.sample(2, seed=1), labels=1)
    np.testing.assert_allclose(np.load(out)[::2], ends, atol=1e-5)
    assert cli.main(["decode", latents, "--out", out, *bundle]) == 4


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (options.integer(1), "0x10", 16),
        (options.integer(0, 9), "9", 9),
        (options.number(), "-1e3", -1000.0),
        (options.number(0), "0", 0.0),
    ],
)
def test_a_number_within_its_bounds_is_read(parse, text, value):
    assert parse(text) == value


@pytest.mark.parametrize(
    ("parse", "text", "says"),
    [
        (options.integer(1), "0", "a whole number at least 1, got '0'"),
        (options.integer(0, 9), "10", "a whole number from 0 to 9, got '10'"),
        (options.integer(0), "1.5", "a whole number at least 0, got '1.5'"),
        (options.number(), "inf", "a finite number, got 'inf'"),
        (options.number(0), "-0.1", "a number from 0, got '-0.1'"),
        (options.number(0), "nan", "a number from 0, got 'nan'"),
    ],
)
def test_a_number_outside_its_bounds_is_refused(parse, text, says):
    with pytest.raises(argparse.ArgumentTypeError, match=says):
        parse(text)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [(None, None), (["hat"], "hat"), (["2"], 2), (["0", "hat", "-1"], [0, "hat", "-1"])],
)
def test_labels_are_numbers_if_they_are_decimal(texts, expected):
    assert options.labels(argparse.Namespace(labels=texts)) == expected


def test_a_new_seed_is_printed(capsys):
    assert options.seed(argparse.Namespace(seed=7)) == 7
    assert capsys.readouterr().err == ""
    seed = options.seed(argparse.Namespace(seed=None))
    assert f"--seed {seed} repeats this result" in capsys.readouterr().err

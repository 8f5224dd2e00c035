"""`edgevae interpolate`, `traverse` and `vary` move through the latent space."""

import json
import os

import numpy as np
import pytest
from command_line import pixels
from PIL import Image

from edgevae import cli, vae
from edgevae.packing import pack


def test_interpolate_walks_from_one_to_the_other(grey, files):
    assert cli.main(["interpolate", *files[:2], "--steps", "6", "--model", grey]) == 0
    with Image.open("walk.gif") as gif:
        assert gif.n_frames == 6
    run = ["interpolate", *files[:2], "--steps", "300", "--model", grey, "--out", "walk.npy"]
    assert cli.main(run) == 0
    walk, model = np.load("walk.npy"), vae.load(grey)
    assert walk.shape == (300, 1, 8, 8)
    ends = model.decode(model.encode(files[:2]).mu)
    np.testing.assert_allclose(walk[[0, -1]], ends, atol=1e-6)
    assert np.abs(np.diff(walk, axis=0)).max() < 0.1


def test_interpolate_without_inputs_joins_two_samples(tiny_paths, tmp_path):
    model, out = str(tiny_paths["colour"]), tmp_path / "walk.png"
    run = ["interpolate", "--seed", "4", "--start", "9", "--steps", "5", "--model", model]
    run += ["--scale", "1"]
    assert cli.main([*run, "--out", str(out)]) == 0
    strip = pixels(out).reshape(8, 5, 6, 3).swapaxes(0, 1)
    expected = vae.load(model).generate(2, seed=4, start=9, dtype="uint8")
    assert np.array_equal(strip[[0, -1]], expected)


def test_interpolate_may_bounce_on_an_arc(grey, files):
    run = ["interpolate", *files[:2], "--steps", "4", "--model", grey, "--out", "walk.npy"]
    assert cli.main([*run, "--spherical", "--bounce"]) == 0
    walk, model = np.load("walk.npy"), vae.load(grey)
    np.testing.assert_array_equal(walk[4:], walk[2:0:-1])
    expected = model.interpolate(*files[:2], 4, spherical=True)
    assert np.array_equal(pack(walk[:4])[..., 0], [np.asarray(image) for image in expected])


def test_vary_makes_a_line_for_each_input(grey, files):
    run = ["vary", *files[:2], "-n", "3", "--strength", "1", "--seed", "8", "--model", grey]
    run += ["--scale", "1"]
    assert cli.main(run) == 0
    tiles = pixels("varied.png").reshape(2, 8, 3, 8).swapaxes(1, 2)
    expected = vae.load(grey).vary(files[:2], 3, 1, seed=8)
    assert np.array_equal(tiles, [[np.asarray(image) for image in row] for row in expected])
    assert cli.main([*run, "--out", "varied/"]) == 0
    assert len(os.listdir("varied")) == 6


def test_traverse_draws_dimensions_or_the_most_certain(grey, files, capsys):
    run = ["traverse", files[0], "--steps", "5", "--model", grey, "--scale", "1"]
    assert cli.main([*run, "--dim", "3", "--dim", "1"]) == 0
    tiles = pixels("traversed.png").reshape(2, 8, 5, 8).swapaxes(1, 2)
    expected = vae.load(grey).traverse(files[0], 3, 5)
    assert np.array_equal(tiles[0], [np.asarray(image) for image in expected])
    assert cli.main([*run, "--most", "2", "--json"]) == 0
    certain = np.argsort(vae.load(grey).encode(files[0]).logvar[0])[:2]
    assert json.loads(capsys.readouterr().out)["dims"] == " ".join(map(str, certain))
    with pytest.raises(SystemExit, match="2"):
        cli.main([*run, "--dim", "4"])
    assert "--dim: expected 0 to 3, got 4" in capsys.readouterr().err

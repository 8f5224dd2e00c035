"""`edgevae interpolate` decodes the path between two items or two samples."""

import numpy as np
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

"""`edgevae vary` makes variations of each item."""

import os

import numpy as np
from command_line import pixels

from edgevae import cli, vae


def test_vary_makes_a_line_for_each_input(grey, files):
    run = ["vary", *files[:2], "-n", "3", "--strength", "1", "--seed", "8", "--model", grey]
    run += ["--scale", "1"]
    assert cli.main(run) == 0
    tiles = pixels("varied.png").reshape(2, 8, 3, 8).swapaxes(1, 2)
    expected = vae.load(grey).vary(files[:2], 3, 1, seed=8)
    assert np.array_equal(tiles, [[np.asarray(image) for image in row] for row in expected])
    assert cli.main([*run, "--out", "varied/"]) == 0
    assert len(os.listdir("varied")) == 6

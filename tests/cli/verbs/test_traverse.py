"""`edgevae traverse` changes one dimension of a latent at a time."""

import json

import numpy as np
import pytest
from command_line import pixels
from PIL import Image

from edgevae import cli, vae


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


def test_a_sheet_is_enlarged_and_labelled_unless_the_scale_is_1(grey, files):
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

"""Animations have a frame for each item, repeat, and are enlarged if they are small."""

import numpy as np
import pytest
from PIL import Image, ImageSequence
from sample_files import UNIT, images, in_batches

from edgevae.errors import InputError
from edgevae.files.animations import write_gif
from edgevae.packing import pack


def test_gif_has_a_frame_a_row_and_repeats(tmp_path):
    x, out = images(9), tmp_path / "walk.gif"
    write_gif(str(out), in_batches(x, 4), UNIT, scale=1)
    with Image.open(out) as gif:
        frames = [np.asarray(frame.convert("L")) for frame in ImageSequence.Iterator(gif)]
        assert gif.info["loop"] == 0
    assert np.array_equal(frames, pack(x)[..., 0])


@pytest.mark.parametrize(("side", "expected"), [(28, 252), (64, 256), (128, 256), (300, 300)])
def test_frames_of_an_animation_are_enlarged(tmp_path, side, expected):
    x = images(3, 1, side, side)
    write_gif(str(tmp_path / "a.gif"), [x], UNIT)
    factor = expected // side
    with Image.open(tmp_path / "a.gif") as gif:
        frames = [np.asarray(frame.convert("L")) for frame in ImageSequence.Iterator(gif)]
    assert np.array_equal(frames, pack(x)[..., 0].repeat(factor, 1).repeat(factor, 2))


def test_an_animation_has_at_least_one_frame(tmp_path):
    with pytest.raises(InputError, match=r"needs at least 1 row, got 0: write \.npy"):
        write_gif(str(tmp_path / "a.gif"), [], UNIT)
    assert not list(tmp_path.iterdir())

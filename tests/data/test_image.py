"""Images: pixels, PIL images and files become rows in the model's range, and come back."""

import numpy as np
import PIL.Image
import pytest

from edgevae.data import Image, from_pil, open_image, to_pil, to_uint8
from edgevae.errors import BundleError, InputError
from edgevae.json_fields import Fields

RGB = Image((3, 4, 5), (-1.0, 1.0))
GREY = Image((1, 4, 5), (0.0, 1.0))


def rgb_pixels(n: int = 2) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, 4, 5, 3), np.uint8)


def test_images_are_finished_as_pixels_too():
    out = RGB.allocate(2, "uint8")
    assert (out.shape, out.dtype) == ((2, 4, 5, 3), np.uint8)
    RGB.finish(np.full((2, 3, 4, 5), 1.0, np.float32), out)
    assert (out == 255).all()
    np.testing.assert_array_equal(RGB.read(out).rows, np.ones((2, 3, 4, 5), np.float32))


def test_pixels_are_scaled_to_the_range_and_come_back():
    x = rgb_pixels()
    items = RGB.read(x)
    expected = x.transpose(0, 3, 1, 2) / np.float32(127.5) - 1
    np.testing.assert_allclose(items.rows, expected, atol=1e-6)
    np.testing.assert_array_equal(items.back(items.rows), x)
    assert RGB.read(x[0]).single


def test_a_picture_or_its_path_comes_back_as_a_picture(tmp_path):
    picture = to_pil(rgb_pixels()[0])
    picture.save(tmp_path / "a.png")
    for x in (picture, tmp_path / "a.png", str(tmp_path / "a.png")):
        items = RGB.read(x)
        assert items.single
        assert np.array_equal(np.asarray(items.back(items.rows)), np.asarray(picture))
    mixed = RGB.read([picture, rgb_pixels()[1]])
    back = mixed.back(mixed.rows)
    assert np.array_equal(np.asarray(back[0]), np.asarray(picture))
    np.testing.assert_array_equal(back[1], rgb_pixels()[1])


def test_a_picture_of_another_size_is_refused():
    with pytest.raises(InputError, match=r"expected an image of 5 x 4 pixels, got 4 x 5"):
        RGB.read(PIL.Image.new("RGB", (4, 5)))


def test_colours_become_grey_and_grey_becomes_rgb():
    pixels = from_pil(PIL.Image.new("RGBA", (5, 4), (10, 20, 30, 40)), 1)
    assert (pixels.shape, pixels.dtype) == ((4, 5, 1), np.uint8)
    pixels = from_pil(PIL.Image.new("L", (5, 4), 7), 3)
    assert (pixels == 7).all()
    assert pixels.shape == (4, 5, 3)
    assert (to_pil(pixels).mode, to_pil(pixels[..., :1]).mode) == ("RGB", "L")


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "expected a file that can be read"), (b"text", "expected an image file"),
     (b"\x89PNG\r\n\x1a\n", "expected an image file|expected a complete image file")],
)  # fmt: skip
def test_a_file_without_an_image_is_refused(tmp_path, content, says):
    path = tmp_path / "a.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=rf"a\.png: ({says})"):
        open_image(path)


def test_levels_are_rounded_half_up_and_clamped():
    x = np.float32([-9, -1, 0, 1, 9]).reshape(5, 1, 1, 1)
    assert to_uint8(x, (-1.0, 1.0)).ravel().tolist() == [0, 0, 128, 255, 255]


@pytest.mark.parametrize("dtype", ["float64", "int8", None])
def test_another_dtype_is_refused(dtype):
    with pytest.raises(InputError, match="dtype: expected 'float32' or 'uint8'"):
        GREY.allocate(1, dtype)


@pytest.mark.parametrize("shape", [[2, 4, 5], [4, 5], [1, 2, 3, 4]])
def test_an_image_has_one_or_three_channels(shape):
    described = {"kind": "image", "x": {"shape": shape, "range": [0, 1]}}
    with pytest.raises(BundleError, match=r"shape must be \[1 or 3, height, width\]"):
        Image.from_json(Fields(described, "m"))

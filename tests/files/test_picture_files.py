"""Pictures: each is decoded once, fits the model or is resized, and stands upright."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sample_files import feed, items, pictures

from edgevae import bundle, files
from edgevae.errors import InputError
from edgevae.files import picture_files


def test_a_picture_is_decoded_once(grey, here, monkeypatch):
    pixels = pictures(300)
    decoded = []
    read = picture_files.read_picture
    monkeypatch.setattr(
        picture_files,
        "read_picture",
        lambda file, *rest: decoded.append(file.name) or read(file, *rest),
    )
    inputs = files.read(["images"], grey)
    np.testing.assert_allclose(items(inputs)[:, 0], pixels / np.float32(255), atol=1e-7)
    assert len(decoded) == len(set(decoded)) == 300
    assert inputs.ids == [f"{i:03d}" for i in range(300)]


def test_another_size_is_refused_with_the_option_that_fits_it(grey, here, monkeypatch):
    pictures(1, (16, 24))
    message = r"expected an image of 8 x 8 pixels, got 16 x 24; --resize makes it fit"
    with pytest.raises(InputError, match=rf"images.000\.png: {message}"):
        files.read(["images"], grey)
    feed(monkeypatch, Path("images/000.png").read_bytes())
    with pytest.raises(InputError, match=f"standard input: {message}"):
        files.read(["-"], grey)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "I;16", "1"])
def test_resize_fits_a_picture_of_any_mode(grey, here, monkeypatch, mode):
    grey_levels = Image.linear_gradient("L").resize((40, 20))
    if mode == "I;16":
        wide = np.asarray(grey_levels).astype(np.uint16) * 257
        Image.fromarray(wide).save("a.png")
    else:
        grey_levels.convert(mode).save("a.png")
    feed(monkeypatch, Path("a.png").read_bytes())
    for path in ("a.png", "-"):
        x = items(files.read([path], grey, resize=True))
        assert x.shape == (1, 1, 8, 8)
        if mode != "1":
            expected = np.asarray(grey_levels.resize((8, 8), Image.Resampling.LANCZOS)) / 255
            np.testing.assert_allclose(x[0, 0], expected, atol=0.02)


def test_a_picture_on_its_side_is_turned_before_its_size_is_compared(tiny_paths, here):
    wide = bundle.read(tiny_paths["colour"])  # 8 high, 6 wide
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    Path("images").mkdir()
    for i in range(300):
        Image.new("RGB", (8, 6)).save(f"images/{i}.jpg", exif=exif)
    assert items(files.read(["images"], wide)).shape == (300, 3, 8, 6)


def test_a_folder_lists_its_pictures_and_no_other_files(here):
    pictures(2)
    Path("images/notes.txt").touch()
    Path("images/.hidden").touch()
    notes = []
    found = picture_files.in_folder("images", notes.append)
    assert [file.name for file in found] == ["000.png", "001.png"]
    (note,) = notes
    assert note.startswith("images: left out 1 of 3 entries, such as 'notes.txt'")
    Path("empty").mkdir()
    with pytest.raises(InputError, match=r"empty: expected a folder of images, found no \.bmp"):
        picture_files.in_folder("empty", notes.append)


def test_names_keep_their_suffixes_if_stems_repeat():
    assert picture_files.names([Path("a/x.png"), Path("b/y.bmp")]) == ["x", "y"]
    assert picture_files.names([Path("x.png"), Path("x.bmp")]) == ["x.png", "x.bmp"]

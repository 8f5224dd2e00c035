"""Sheets hold every item once, at a size that one can look at."""

import numpy as np
import pytest
from PIL import Image
from sample_files import UNIT, images, in_batches, never

from edgevae.errors import InputError
from edgevae.files import sheets
from edgevae.packing import pack


def sheet_of(path, x, **arguments) -> tuple[sheets.Layout, np.ndarray]:
    labels = arguments.get("labels", ())
    layout = sheets.layout(len(x), x.shape[1:], **arguments)
    sheets.write_sheet(str(path), [x[:3], x[3:]], layout, UNIT, labels=labels, note="seed 7")
    with Image.open(path) as image:
        pixels = np.asarray(image)
    return layout, pixels.reshape(*pixels.shape[:2], -1)


@pytest.mark.parametrize(
    ("item", "rows", "scale"),
    [((1, 28, 28), 64, 5), ((1, 28, 28), 12, 9), ((3, 64, 64), 20, 4), ((3, 128, 128), 64, 1),
     ((3, 128, 128), 16, 2), ((3, 300, 300), 4, 1), ((1, 300, 16), 24, 3),
     ((1, 28, 28), 10_000, 1)],
)  # fmt: skip
def test_small_tiles_are_enlarged(item, rows, scale):
    layout = sheets.layout(rows, item)
    assert layout.scale == scale
    assert layout.gap >= 4
    assert max(layout.size) <= 4096


def test_a_line_of_tiles_stays_visible():
    layout = sheets.layout(30, (1, 28, 28), columns=30)
    assert layout.scale * 28 >= sheets.SMALLEST_TILE
    assert layout.size == (92, 2644)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("scale", [None, 2, 3])
def test_every_pixel_of_an_enlarged_tile_is_the_items(tmp_path, channels, scale):
    x = images(7, channels)
    layout, pixels = sheet_of(tmp_path / "a.png", x, columns=4, scale=scale)
    assert pixels.shape == (*layout.size, channels)
    assert layout.scale == scale or scale is None
    outside = np.ones(layout.size, bool)
    for i, expected in enumerate(pack(x).repeat(layout.scale, 1).repeat(layout.scale, 2)):
        top = layout.gap + i // 4 * (5 * layout.scale + layout.gap)
        left = layout.gap + i % 4 * (3 * layout.scale + layout.gap)
        place = np.s_[top : top + 5 * layout.scale, left : left + 3 * layout.scale]
        assert np.array_equal(pixels[place], expected)
        outside[place] = False
    assert np.all(pixels[outside] == sheets.PAPER)


def test_a_single_picture_keeps_its_pixels_unless_a_scale_is_asked_for(tmp_path):
    x = images(1, 1, 28, 28)
    assert np.array_equal(sheet_of(tmp_path / "a.png", x)[1], pack(x)[0])
    _, pixels = sheet_of(tmp_path / "b.png", x, scale=3)
    assert np.array_equal(pixels, pack(x)[0].repeat(3, 0).repeat(3, 1))


def test_labels_stand_in_a_margin_beside_their_lines(tmp_path):
    x = images(6, 1, 28, 28)
    plain, bare = sheet_of(tmp_path / "a.png", x, columns=3)
    labelled, pixels = sheet_of(tmp_path / "b.png", x, columns=3, labels=["dim 3", "dim 17"])
    assert np.array_equal(pixels[:, labelled.margin :], bare)
    tall, _ = plain.cell
    for line in range(2):
        beside = pixels[line * tall : (line + 1) * tall, : labelled.margin]
        assert beside.min() <= sheets.INK + 32  # some ink
    assert sheets.layout(6, (1, 28, 28), 3, 1, ["dim 3", "dim 17"]).margin == 0


@pytest.mark.parametrize("suffix", [".jpg", ".JPEG", ".webp"])
@pytest.mark.parametrize("channels", [1, 3])
def test_other_formats_are_near_the_pixels_and_keep_the_note(tmp_path, suffix, channels):
    x = np.linspace(0, 1, 64, dtype=np.float32).reshape(1, 1, 8, 8).repeat(channels, 1)
    path = tmp_path / f"a{suffix}"
    sheet_of(path, np.concatenate([x] * 4), scale=2)
    with Image.open(path) as image:
        assert image.format == sheets.FORMATS[suffix.lower()]
        pixels = np.asarray(image.convert("L")).astype(int)
        assert "seed 7" in (str(image.info.get("comment")), image.getexif().get(0x010E)) or (
            image.info["comment"] == b"seed 7"
        )
    sheet_of(tmp_path / "a.png", np.concatenate([x] * 4), scale=2)
    exact = np.asarray(Image.open(tmp_path / "a.png").convert("L")).astype(int)
    assert np.abs(pixels - exact).mean() < 4


def test_a_sheet_beyond_what_viewers_open_is_refused():
    with pytest.raises(InputError, match="at most 16383 pixels a side"):
        sheets.layout(600, (1, 28, 28), columns=600, scale=1)
    with pytest.raises(InputError, match="at most 16383 pixels a side"):
        sheets.layout(4, (1, 28, 28), scale=400)


def write_sheet(out, batches, rows, item, x_range=UNIT, *, columns=None, scale=1, **more):
    sheet = sheets.layout(rows, item, columns, scale, more.get("labels", ()))
    sheets.write_sheet(str(out), batches, sheet, x_range, **more)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("batch", [1, 3, 4, 7, 100])
@pytest.mark.parametrize("rows", [1, 7, 16])
def test_every_tile_of_a_sheet_is_its_image_however_it_was_batched(tmp_path, rows, batch, channels):
    x, out = images(rows, channels), tmp_path / "sheet.png"
    write_sheet(out, in_batches(x, batch), rows, x.shape[1:], UNIT, columns=4)
    sheet = np.asarray(Image.open(out)).reshape(-(-rows // 4) * 5, 12, channels)
    tiles = [sheet[i // 4 * 5 :, i % 4 * 3 :][:5, :3] for i in range(-(-rows // 4) * 4)]
    assert np.array_equal(tiles[:rows], pack(x))
    assert not np.any(tiles[rows:])  # what is left over is black


def test_sixty_four_squares_make_eight_by_eight():
    assert sheets.near_square(64, 28, 28) == 8
    assert sheets.near_square(64, 10, 40) == 4
    assert sheets.near_square(2, 100, 1) == 2


def test_a_sheet_maps_the_range_of_the_data_to_bytes(tmp_path):
    x = np.array([-1, 0, 1], np.float32).reshape(3, 1, 1, 1)
    write_sheet(tmp_path / "a.png", [x], 3, (1, 1, 1), (-1.0, 1.0), columns=3)
    assert np.asarray(Image.open(tmp_path / "a.png")).tolist() == [[0, 128, 255]]


def test_a_sheet_carries_its_note(tmp_path):
    write_sheet(tmp_path / "a.png", [images(1)], 1, (1, 5, 3), UNIT, note="seed 7")
    assert Image.open(tmp_path / "a.png").text == {"edgevae": "seed 7"}


@pytest.mark.parametrize(("rows", "message"), [(0, "at least 1 row"), (10**6, "folder")])
def test_a_sheet_of_no_rows_or_too_many_is_refused_before_work(tmp_path, rows, message):
    with pytest.raises(InputError, match=message):
        write_sheet(tmp_path / "a.png", never(), rows, (1, 28, 28), UNIT)
    assert not list(tmp_path.iterdir())

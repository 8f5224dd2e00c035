"""A folder holds one picture for each item, under names that stay in it."""

import numpy as np
from PIL import Image
from sample_files import UNIT, images, in_batches

from edgevae.files import FileNames, folders
from edgevae.packing import pack


def test_a_folder_holds_one_image_a_row(tmp_path):
    x = images(5, 3)
    folders.write_folder(str(tmp_path / "new" / "f"), in_batches(x, 2), range(98, 103), UNIT)
    files = sorted((tmp_path / "new" / "f").iterdir())
    assert [file.name for file in files] == [f"{i:06d}.png" for i in range(98, 103)]
    assert np.array_equal([np.asarray(Image.open(file)) for file in files], pack(x))


def test_the_numbers_of_a_range_have_one_width(tmp_path):
    folders.write_folder(str(tmp_path), [images(2)], range(10**9 - 1, 10**9 + 1), UNIT)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["0999999999.png", "1000000000.png"]


def test_batches_that_share_their_names_overwrite_no_file(tmp_path):
    names = FileNames()
    for _ in range(2):
        folders.write_folder(str(tmp_path), [images(2)], ["a", "A"], UNIT, names=names)
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "A-2.png", "A-4.png", "a-3.png", "a.png"
    ]  # fmt: skip


def test_pictures_of_a_folder_are_enlarged_if_it_is_asked_for(tmp_path):
    x = images(2)
    folders.write_folder(str(tmp_path / "f"), [x], ["a", "b"], UNIT, scale=3, note="seed 7")
    with Image.open(tmp_path / "f" / "b.png") as image:
        assert image.text == {"edgevae": "seed 7"}
        assert np.array_equal(np.asarray(image), pack(x)[1, ..., 0].repeat(3, 0).repeat(3, 1))

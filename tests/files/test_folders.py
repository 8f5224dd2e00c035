"""A folder holds one picture for each item, under names that stay in it."""

import numpy as np
from PIL import Image
from sample_files import UNIT, images, in_batches

from edgevae.files import folders
from edgevae.packing import pack


def test_a_folder_holds_one_image_a_row(tmp_path):
    x = images(5, 3)
    folders.write_folder(str(tmp_path / "new" / "f"), in_batches(x, 2), range(98, 103), UNIT)
    files = sorted((tmp_path / "new" / "f").iterdir())
    assert [file.name for file in files] == [f"{i:06d}.png" for i in range(98, 103)]
    assert np.array_equal([np.asarray(Image.open(file)) for file in files], pack(x))


def test_index_names_have_one_width():
    assert list(folders.file_names(range(9, 11))) == ["000009", "000010"]
    assert {len(name) for name in folders.file_names(range(10**9 - 1, 10**9 + 1))} == {10}


def test_names_of_files_stay_in_their_folder():
    ids = ["../../x", "/etc/passwd", "a/b", "a_b", ".hidden", "C:\\x", "Ärger 7-b", "", 12]
    names = list(folders.file_names(ids))
    assert names == [
        "_._.._x", "_etc_passwd", "a_b", "a_b-2", "_hidden", "C__x", "Ärger 7-b", "_", "000012"
    ]  # fmt: skip


def test_pictures_of_a_folder_are_enlarged_if_it_is_asked_for(tmp_path):
    x = images(2)
    folders.write_folder(str(tmp_path / "f"), [x], ["a", "b"], UNIT, scale=3, note="seed 7")
    with Image.open(tmp_path / "f" / "b.png") as image:
        assert image.text == {"edgevae": "seed 7"}
        assert np.array_equal(np.asarray(image), pack(x)[1, ..., 0].repeat(3, 0).repeat(3, 1))

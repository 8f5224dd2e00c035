import gzip
import struct

import numpy as np
import pytest
import torch
from PIL import Image

from edgevae.errors import InputError
from train.data import datasets as data
from train.data.dataset import as_float


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def images(tmp_path):
    """Twenty grey images of 6 x 5."""
    rng = np.random.default_rng(0)
    for number in range(20):
        array = rng.integers(0, 256, (6, 5), np.uint8)
        Image.fromarray(array).save(tmp_path / f"{number:02}.png")
    return tmp_path


def test_idx_reads_what_its_header_says():
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    np.testing.assert_array_equal(data.read_idx(idx(array)), array)


def test_idx_of_another_type_is_refused():
    with pytest.raises(ValueError, match="unsigned bytes"):
        data.read_idx(struct.pack(">HBBI", 0, 13, 1, 1) + b"\0\0\0\0")


def test_fashion_checks_the_content(tmp_path):
    for name in data.FASHION_FILES:
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(idx(np.zeros((1, 28, 28), np.uint8))))
    with pytest.raises(ValueError, match="expected SHA-256"):
        data.fashion(tmp_path)


def test_fashion_names_what_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match="train-images-idx3-ubyte"):
        data.fashion(tmp_path)


@pytest.mark.skipif(
    not data.DEBIAN_FASHION.is_dir(), reason="Debian's dataset-fashion-mnist is not installed"
)
def test_fashion_from_debian():
    fashion = data.fashion()
    assert fashion.train.shape == (60_000, 1, 28, 28)
    assert fashion.test.shape == (10_000, 1, 28, 28)
    assert torch.bincount(fashion.test_labels.long()).tolist() == [1000] * 10


def test_fashion_downloads_with_the_published_checksum(monkeypatch, tmp_path):
    """Without a folder and without Debian's package the files come from their own address."""
    pooch = pytest.importorskip("pooch")
    asked = []

    def retrieve(url, known_hash, **_):
        asked.append((url, known_hash))
        raise ConnectionError

    monkeypatch.setattr(data, "DEBIAN_FASHION", tmp_path / "absent")
    monkeypatch.setattr(pooch, "retrieve", retrieve)
    with pytest.raises(InputError, match="cannot download"):
        data.fashion()
    url, known_hash = asked[0]
    assert url == data.FASHION_ADDRESS + "train-images-idx3-ubyte.gz"
    assert known_hash == "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d"


def test_a_folder_of_images(images):
    loaded = data.load("folder", images)
    assert loaded.kind == "image"
    assert loaded.train.dtype == torch.uint8
    assert loaded.train.shape == (18, 1, 6, 5)
    assert loaded.test.shape == (2, 1, 6, 5)
    everything = torch.cat([loaded.train, loaded.test]).flatten(1).unique(dim=0)
    assert len(everything) == 20


def test_images_of_many_sizes_need_a_size(images):
    Image.new("RGB", (9, 9)).save(images / "z.png")
    with pytest.raises(ValueError, match="pass --size"):
        data.load("folder", images)
    assert data.load("folder", images, size=8).x_shape == (3, 8, 8)


def test_arrays_of_images_and_vectors(tmp_path):
    np.save(tmp_path / "grey.npy", np.zeros((10, 4, 6), np.uint8))
    np.savez(tmp_path / "colour.npz", np.zeros((10, 4, 6, 3), np.uint8))
    np.save(tmp_path / "vectors.npy", np.zeros((10, 7)))
    assert data.load("folder", tmp_path / "grey.npy").x_shape == (1, 4, 6)
    assert data.load("folder", tmp_path / "colour.npz").x_shape == (3, 4, 6)
    vectors = data.load("folder", tmp_path / "vectors.npy")
    assert (vectors.kind, vectors.x_shape) == ("vector", (7,))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((10, 2, 2), np.float32), "uint8 images"),
        (np.full((10, 2), np.nan), "finite"),
        (np.zeros((3, 2)), "at least 10"),
        (np.zeros((10, 2, 2, 4), np.uint8), "1 or 3 channels"),
        (np.full((10, 2), 1e300), "finite"),
    ],
)
def test_arrays_that_are_refused(tmp_path, array, message):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(ValueError, match=message):
        data.load("folder", tmp_path / "a.npy")


def test_the_held_out_tenth_is_a_function_of_the_seed(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(60.0).reshape(30, 2))
    one, same, other = (data.load("folder", tmp_path / "a.npy", seed=s).test for s in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_images_that_are_refused(images):
    np.save(images / "a.npy", np.zeros((10, 4, 6), np.uint8))
    with pytest.raises(ValueError, match="array itself"):
        data.load("folder", images / "a.npy", size=8)
    Image.new("I;16", (5, 6)).save(images / "deep.png")
    with pytest.raises(ValueError, match=r"8 bits a channel.*deep\.png"):
        data.load("folder", images)
    with pytest.raises(FileNotFoundError, match="check --data"):
        data.load("folder", images / "nowhere")


def test_photographs_stand_upright(tmp_path):
    for number in range(10):
        exif = Image.Exif()
        exif[0x0112] = 6  # the camera was turned
        Image.new("RGB", (8, 4)).save(tmp_path / f"{number}.jpg", exif=exif)
    assert data.load("folder", tmp_path).x_shape == (3, 8, 4)


def test_black_and_white_images_stay_grey(images):
    Image.new("1", (5, 6)).save(images / "z.png")
    assert data.load("folder", images).x_shape == (1, 6, 5)


def test_a_folder_of_idx_files_is_known(tmp_path):
    assert data.holds_fashion(None)
    assert not data.holds_fashion(tmp_path)
    (tmp_path / "train-images-idx3-ubyte.gz").touch()
    assert data.holds_fashion(tmp_path)


def test_images_become_floats_in_the_unit_interval():
    assert as_float(torch.tensor([0, 255], dtype=torch.uint8)).tolist() == [0, 1]

"""Read data sets: Fashion-MNIST, a folder of images, an .npy or .npz array, lines of text."""

import gzip
import hashlib
import struct
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps

from edgevae.data import IMAGE_SUFFIXES
from edgevae.errors import InputError
from train.data import lines
from train.data.dataset import Data, hold_out, read_array
from train.data.download import fetch

DEBIAN_FASHION = Path("/usr/share/datasets/fashion-mnist")
FASHION_ADDRESS = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
# MD5 of each compressed file as its authors publish it, and SHA-256 of its decompressed content
# (Debian compresses the same content differently).
FASHION_FILES = {
    "train-images-idx3-ubyte": (
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    ),
    "train-labels-idx1-ubyte": (
        "25c81989df183df01b3e8a0aad5dffbe",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    ),
    "t10k-images-idx3-ubyte": (
        "bef4ecab320f06d8554ea6380940ec79",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    ),
    "t10k-labels-idx1-ubyte": (
        "bb300cfdad3c16e7a12a480ee83cd310",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
}
FASHION_CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
GREY, COLOUR = {"1", "L", "LA"}, {"P", "RGB", "RGBA", "CMYK", "YCbCr"}  # Pillow's modes, 8 bits


def load(source: str, path: Path | None, size: int | None = None, seed: int = 0) -> Data:
    """Read the data set that `source` names.

    "fashion" is Fashion-MNIST, from the IDX files in `path` or as installed; "names" are surnames,
    from the archive `path` or as fetched; "folder" is the user's own data at `path`: a folder of
    images (resized to size x size if `size` is set), an .npy or .npz file of uint8 images (N, H, W)
    or (N, H, W, C) or of vectors (N, D), or a .txt file of lines. A tenth of the user's own data,
    chosen by `seed`, is held out as the test set. Raises `InputError` or `FileNotFoundError`.
    """
    if size is not None and (source == "fashion" or (path is not None and path.is_file())):
        raise InputError("expected --size with a folder of images alone: resize the array itself")
    if source == "fashion":
        return fashion(path)
    if source == "names":
        return lines.names(path, seed)
    if path is None:
        raise InputError("expected a folder or file of data, got none: pass --data")
    if not path.exists():
        raise FileNotFoundError(f"expected data at {path}, found nothing: check --data")
    if path.is_dir():
        return hold_out(path.resolve().name, read_images(path, size), seed)
    if path.suffix == ".txt":
        return lines.lines(path, seed)
    if path.suffix in {".npy", ".npz"}:
        return hold_out(path.stem, read_array(path), seed)
    raise InputError(
        f"expected a folder of images, or a .npy, .npz, .csv, .parquet or .txt file, got {path}"
    )


def holds_fashion(folder: Path | None) -> bool:
    """Return True if `folder` holds Fashion-MNIST's IDX files.

    None stands for the installed data set.
    """
    return folder is None or any(folder.glob("train-images-idx3-ubyte*"))


def fashion(folder: Path | None = None) -> Data:
    """Return Fashion-MNIST (Xiao et al. 2017): 60,000 + 10,000 images (1, 28, 28), ten classes."""
    arrays = [torch.from_numpy(read_idx(fashion_bytes(name, folder))) for name in FASHION_FILES]
    train, train_labels, test, test_labels = arrays
    items = train[:, None], test[:, None]
    return Data("fashion", "image", *items, "MIT", train_labels, test_labels, FASHION_CLASSES)


def fashion_bytes(name: str, folder: Path | None) -> bytes:
    """Return one decompressed IDX file, from `folder`, Debian's package or the authors' server."""
    published_md5, content_sha256 = FASHION_FILES[name]
    if folder is None and DEBIAN_FASHION.is_dir():
        folder = DEBIAN_FASHION
    if folder is None:
        path = fetch(
            f"{FASHION_ADDRESS}{name}.gz",
            f"md5:{published_md5}",
            "give --data a folder of Fashion-MNIST's four IDX files, or install Debian's "
            "dataset-fashion-mnist",
        )
    else:
        path = next(
            (p for p in (folder / f"{name}.gz", folder / name) if p.is_file()), folder / name
        )
        if not path.is_file():
            raise FileNotFoundError(
                f"expected {name} or {name}.gz in {folder}, found neither: pass --data the folder "
                "of Fashion-MNIST's four IDX files, or install Debian's dataset-fashion-mnist"
            )
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != content_sha256:
        raise InputError(
            f"expected SHA-256 {content_sha256} for the content of {path}, got {digest}: "
            "the file is damaged or of another data set; fetch it again"
        )
    return content


def read_idx(content: bytes) -> NDArray[np.uint8]:
    """Parse an IDX file of unsigned bytes: magic 00 00 08 ndim, big-endian sizes, the values."""
    zeros, kind, ndim = struct.unpack(">HBB", content[:4])
    if zeros != 0 or kind != 8:
        raise InputError(f"expected an IDX file of unsigned bytes, got magic {content[:4].hex()}")
    shape = struct.unpack(f">{ndim}I", content[4 : 4 + 4 * ndim])
    return np.frombuffer(content, np.uint8, offset=4 + 4 * ndim).reshape(shape).copy()


def read_images(folder: Path, size: int | None) -> NDArray[np.uint8]:
    """Read every image below `folder`, in the order of their paths: uint8 (N, H, W, C).

    C is 1 if every image is grey, else 3.
    """
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
    if not paths:
        raise InputError(f"expected images in {folder}, found none ({sorted(IMAGE_SUFFIXES)})")
    images = []
    for path in paths:
        with Image.open(path) as opened:
            if opened.mode not in GREY | COLOUR:
                raise InputError(
                    f"expected an image of 8 bits a channel, got Pillow's mode {opened.mode!r} in "
                    f"{path}: convert it first"
                )
            image = ImageOps.exif_transpose(opened).convert("L" if opened.mode in GREY else "RGB")
            images.append(image.resize((size, size), Image.Resampling.LANCZOS) if size else image)
    sizes = {image.size for image in images}
    if len(sizes) > 1:
        raise InputError(
            f"expected images of one size in {folder}, got {len(sizes)} sizes such as "
            f"{sorted(sizes)[:3]}: pass --size to resize them"
        )
    grey = all(image.mode == "L" for image in images)
    arrays = [np.asarray(image if grey else image.convert("RGB")) for image in images]
    stacked = np.stack(arrays)
    return stacked[..., None] if grey else stacked

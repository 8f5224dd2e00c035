"""Data sets as arrays in memory: Fashion-MNIST, a folder of images, an .npy or .npz array."""

import gzip
import hashlib
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgevae.bundle import Text
from edgevae.errors import InputError

DEBIAN_FASHION = Path("/usr/share/datasets/fashion-mnist")
FASHION_ADDRESS = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
# MD5 of each compressed file as its authors publish it, and SHA-256 of what it decompresses to
# (Debian compresses the same bytes anew).
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
IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff"}
GREY, COLOUR = {"1", "L", "LA"}, {"P", "RGB", "RGBA", "CMYK", "YCbCr"}  # Pillow's modes, 8 bits


@dataclass(frozen=True)
class Data:
    """Train and test items of one shape; where labelled, label k is the class `classes[k]`.

    kind "image": uint8 (N, C, H, W), in [0, 1] once divided by 255; kind "vector": float32 (N, D);
    kind "signal": float32 (N, C, L), windows of L steps, `stride` steps apart; kind "text": bool
    (N, length, symbols), one-hot, of the strings that `text` knows. `names` are those of the D or
    C features, and `impute` has what replaced the missing values of each.
    """

    name: str
    kind: str
    train: Tensor
    test: Tensor
    licence: str
    train_labels: Tensor | None = None
    test_labels: Tensor | None = None
    classes: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    impute: tuple[float, ...] | None = None
    stride: int | None = None
    text: Text | None = None

    @property
    def x_shape(self) -> tuple[int, ...]:
        return tuple(self.train.shape[1:])

    def facts(self) -> dict[str, Any]:
        """What a checkpoint says of the data that it was trained on."""
        return {
            "name": self.name,
            "kind": self.kind,
            "licence": self.licence,
            "names": list(self.names),
            "impute": self.impute and list(self.impute),
            "stride": self.stride,
            "text": self.text and self.text._asdict(),
        }


def as_float(x: Tensor) -> Tensor:
    """Items as the model takes them: float32, images in [0, 1]."""
    return x.float() / 255 if x.dtype == torch.uint8 else x.float()


def load(source: str, folder: Path | None, size: int | None = None, seed: int = 0) -> Data:
    """`source` "fashion" (its IDX files in `folder` where given), or "folder" for one's own data.

    One's own data: a folder of images (resized to size x size where `size` is given), or an .npy
    or .npz file (uint8 images (N, H, W) or (N, H, W, C); vectors (N, D)), or a .txt of lines. A
    tenth, chosen by `seed`, is held out as the test set. Raises InputError or FileNotFoundError.
    """
    if size is not None and (source == "fashion" or (folder is not None and folder.is_file())):
        raise InputError("expected --size with a folder of images alone: resize the array itself")
    if source == "fashion":
        return fashion(folder)
    if source == "names":
        from train.data.lines import names

        return names(folder, seed)
    if folder is None:
        raise InputError("expected a folder or file of data, got none: give --data")
    if not folder.exists():
        raise FileNotFoundError(f"expected data at {folder}, found nothing: check --data")
    if folder.is_dir():
        return hold_out(folder.resolve().name, read_images(folder, size), seed)
    if folder.suffix == ".txt":
        from train.data.lines import lines

        return lines(folder, seed)
    if folder.suffix in {".npy", ".npz"}:
        return hold_out(folder.stem, read_array(folder), seed)
    raise InputError(f"expected a folder of images, an .npy or an .npz file, got {folder}")


def holds_fashion(folder: Path | None) -> bool:
    """Whether the data at `folder` are Fashion-MNIST's IDX files; None is where they are found."""
    return folder is None or any(folder.glob("train-images-idx3-ubyte*"))


def fashion(folder: Path | None = None) -> Data:
    """Fashion-MNIST (Xiao et al. 2017): 60,000 + 10,000 images (1, 28, 28) of ten classes."""
    arrays = [torch.from_numpy(read_idx(fashion_bytes(name, folder))) for name in FASHION_FILES]
    train, train_labels, test, test_labels = arrays
    items = train[:, None], test[:, None]
    return Data("fashion", "image", *items, "MIT", train_labels, test_labels, FASHION_CLASSES)


def fashion_bytes(name: str, folder: Path | None) -> bytes:
    """One decompressed IDX file: from `folder`, Debian's package or the data set's own address."""
    published_md5, content_sha256 = FASHION_FILES[name]
    if folder is None and DEBIAN_FASHION.is_dir():
        folder = DEBIAN_FASHION
    if folder is None:
        import pooch

        path = Path(
            pooch.retrieve(
                f"{FASHION_ADDRESS}{name}.gz",
                known_hash=f"md5:{published_md5}",
                fname=f"{name}.gz",
                path=pooch.os_cache("edgevae"),
                progressbar=True,
            )
        )
    else:
        path = next(
            (p for p in (folder / f"{name}.gz", folder / name) if p.is_file()), folder / name
        )
        if not path.is_file():
            raise FileNotFoundError(
                f"expected {name} or {name}.gz in {folder}, found neither: give --data the folder "
                "of Fashion-MNIST's four IDX files, or install Debian's dataset-fashion-mnist"
            )
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != content_sha256:
        raise InputError(
            f"expected SHA-256 {content_sha256} for the content of {path}, got {digest}: "
            "the file is damaged or of another data set; fetch it anew"
        )
    return content


def read_idx(content: bytes) -> NDArray[np.uint8]:
    """An IDX file of unsigned bytes: magic 00 00 08 ndim, big-endian sizes, the values."""
    zeros, kind, ndim = struct.unpack(">HBB", content[:4])
    if zeros != 0 or kind != 8:
        raise InputError(f"expected an IDX file of unsigned bytes, got magic {content[:4].hex()}")
    shape = struct.unpack(f">{ndim}I", content[4 : 4 + 4 * ndim])
    return np.frombuffer(content, np.uint8, offset=4 + 4 * ndim).reshape(shape).copy()


def read_images(folder: Path, size: int | None) -> NDArray[np.uint8]:
    """Every image below `folder`, in the order of their paths: (N, H, W, C) uint8.

    Grey only where every image is grey, else RGB.
    """
    from PIL import Image, ImageOps

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
            f"{sorted(sizes)[:3]}: give --size to resize them"
        )
    grey = all(image.mode == "L" for image in images)
    arrays = [np.asarray(image if grey else image.convert("RGB")) for image in images]
    stacked = np.stack(arrays)
    return stacked[..., None] if grey else stacked


def read_array(path: Path) -> NDArray[np.generic]:
    """The array of an .npy file, or the first array of an .npz file."""
    loaded = np.load(path, allow_pickle=False)
    if isinstance(loaded, np.ndarray):
        return loaded
    with loaded:
        return np.asarray(loaded[loaded.files[0]])


def hold_out(name: str, array: NDArray[np.generic], seed: int, *, missing: bool = False) -> Data:
    """Items as Data, a tenth of them (chosen by `seed`) held out as the test set.

    NaN raises InputError, unless `missing` values are to be seen to later.
    """
    channels = array.shape[3] if array.ndim == 4 else 1
    if array.dtype == np.uint8 and array.ndim in (3, 4) and channels in (1, 3):
        images = array[..., None] if array.ndim == 3 else array
        kind, items = "image", torch.from_numpy(np.moveaxis(images, -1, 1).copy())
    elif array.ndim == 2 and np.issubdtype(array.dtype, np.floating):
        with np.errstate(over="ignore"):  # what float32 cannot hold is refused below
            kind, items = "vector", torch.from_numpy(array.astype(np.float32))
    else:
        raise InputError(
            "expected uint8 images (N, H, W) or (N, H, W, C) of 1 or 3 channels C, or "
            f"floating-point vectors (N, D), got {array.dtype} of shape {array.shape} in {name}: "
            "convert it (images in [0, 1]: (255 * x).round().astype('uint8'))"
        )
    finite = torch.isfinite(as_float(items)) | (missing & items.isnan())
    if not finite.all():
        raise InputError(f"expected finite values in {name}, got NaN or infinity: clean them first")
    if len(items) < 10:
        raise InputError(f"expected at least 10 items in {name}, got {len(items)}: add more data")
    order = torch.randperm(len(items), generator=torch.Generator().manual_seed(seed))
    held_out = max(2, len(items) // 10)
    return Data(name, kind, items[order[held_out:]], items[order[:held_out]], "unknown")

"""A data set in memory: items to train on and items held out as the test set."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgevae.data import KINDS, Text
from edgevae.errors import InputError


@dataclass(frozen=True)
class Data:
    """Training and test items of one shape; in labelled data, label k is the class `classes[k]`.

    Items are, by `kind`:

    - "image": uint8 (N, C, H, W), in [0, 1] once divided by 255;
    - "vector": float32 (N, D);
    - "signal": float32 (N, C, L), windows of L steps, `stride` steps apart;
    - "text": bool (N, length, symbols), one-hot, of strings in the alphabet of `text`.

    `names` are the names of the D or C features, and `impute` holds the number that replaced the
    missing values of each.
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

    @property
    def drawable(self) -> bool:
        """True if the items are images."""
        return KINDS[self.kind].drawable

    def facts(self) -> dict[str, Any]:
        """Return what a checkpoint stores about the data that it was trained on."""
        return {
            "name": self.name,
            "kind": self.kind,
            "licence": self.licence,
            "names": list(self.names),
            "impute": self.impute and list(self.impute),
            "stride": self.stride,
            "text": self.text and self.text.as_json()["text"],
        }


def as_float(x: Tensor) -> Tensor:
    """Return items as the model takes them: float32, images in [0, 1]."""
    return x.float() / 255 if x.dtype == torch.uint8 else x.float()


def read_array(path: Path) -> NDArray[np.generic]:
    """Return the array of an .npy file, or the first array of an .npz file."""
    loaded = np.load(path, allow_pickle=False)
    if isinstance(loaded, np.ndarray):
        return loaded
    with loaded:
        return np.asarray(loaded[loaded.files[0]])


def hold_out(
    name: str, array: NDArray[np.generic], seed: int, *, allow_missing: bool = False
) -> Data:
    """Return items as `Data`, a tenth of them (chosen by `seed`) held out as the test set.

    NaN raises `InputError` unless `allow_missing` is set; the caller then replaces it.
    """
    kind, items = _items(name, array)
    finite = torch.isfinite(as_float(items)) | (allow_missing & items.isnan())
    if not finite.all():
        raise InputError(f"expected finite values in {name}, got NaN or infinity: clean them first")
    if len(items) < 10:
        raise InputError(f"expected at least 10 items in {name}, got {len(items)}: add more data")
    order = torch.randperm(len(items), generator=torch.Generator().manual_seed(seed))
    held_out = max(2, len(items) // 10)
    return Data(name, kind, items[order[held_out:]], items[order[:held_out]], "unknown")


def _items(name: str, array: NDArray[np.generic]) -> tuple[str, Tensor]:
    """Return the kind of an array's items, and the items with channels first."""
    channels = array.shape[3] if array.ndim == 4 else 1
    if array.dtype == np.uint8 and array.ndim in (3, 4) and channels in (1, 3):
        images = array[..., None] if array.ndim == 3 else array
        return "image", torch.from_numpy(np.moveaxis(images, -1, 1).copy())
    if array.ndim == 2 and np.issubdtype(array.dtype, np.floating):
        with np.errstate(over="ignore"):  # an overflow becomes infinity, which `hold_out` refuses
            return "vector", torch.from_numpy(array.astype(np.float32))
    raise InputError(
        "expected uint8 images (N, H, W) or (N, H, W, C) of 1 or 3 channels C, or "
        f"floating-point vectors (N, D), got {array.dtype} of shape {array.shape} in {name}: "
        "convert it (images in [0, 1]: (255 * x).round().astype('uint8'))"
    )

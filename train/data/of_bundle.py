"""Read the data that a bundle was trained on again, split into the same training and test items."""

from pathlib import Path

from edgevae.bundle import Bundle
from edgevae.errors import InputError
from train.data import tables
from train.data.dataset import Data
from train.data.datasets import holds_fashion, load


def training_data(bundle: Bundle, path: Path | None) -> Data:
    """Return the data of `bundle`, from `path` or, for Fashion-MNIST and `names`, as installed.

    Raises `InputError` if `path` is None and the data are the user's own.
    """
    source = bundle.provenance.get("data")
    seed = int(bundle.provenance.get("recipe_seed", 0))
    if source == "names":
        return load("names", path, seed=seed)
    if path is None and source != "fashion":
        raise InputError(
            f"expected the data that bundle {bundle.name!r} was trained on, got none: pass --data"
        )
    if bundle.features is not None:
        return tables.load_again(bundle, path)
    if holds_fashion(path):
        return load("fashion", path)
    sides = set(bundle.x_shape[1:])
    size = sides.pop() if path.is_dir() and len(sides) == 1 else None
    return load("folder", path, size, seed)

"""Read text to train on: the surnames of the package `names`, or a file of lines.

An item is one-hot, as edgevae/data/text.py encodes it: bool (length, symbols); the last symbol
marks the end.
"""

import tarfile
from collections.abc import Sequence
from pathlib import Path

import torch

from edgevae.data import Text
from edgevae.errors import InputError
from train.data.dataset import Data
from train.data.download import fetch

NAMES_ADDRESS = (
    "https://files.pythonhosted.org/packages/44/4e/"
    "f9cb7ef2df0250f4ba3334fbdabaa94f9c88097089763d8e85ada8092f84/names-0.3.0.tar.gz"
)
NAMES_SHA256 = "726e46254f2ed03f1ffb5d941dae3bc67c35123941c29becd02d48d0caa2a671"
NAMES_FILE = "names-0.3.0/names/dist.all.last"
NAMES_LICENCE = (
    "MIT; trained on the surnames of PyPI's names 0.3.0 (MIT), which are in the public domain "
    "(US Census Bureau, 1990)"
)


def names(archive: Path | None = None, seed: int = 0) -> Data:
    """Return the 88,799 surnames of the US census of 1990 in lower case: 79,920 + 8,879.

    They are read from PyPI's sdist of `names` 0.3.0, which is fetched once unless `archive` is its
    path.
    """
    if archive is None:
        archive = fetch(
            NAMES_ADDRESS,
            f"sha256:{NAMES_SHA256}",
            "fetch it with `pip download --no-deps --no-binary :all: names==0.3.0`, and give "
            "--data its path",
        )
    with tarfile.open(archive) as opened:
        member = opened.extractfile(NAMES_FILE)
        assert member is not None
        items = [line.split()[0].decode().lower() for line in member]
    return hold_out("names", items, "title", NAMES_LICENCE, seed)


def lines(path: Path, seed: int = 0) -> Data:
    """Return the lines of a file in UTF-8, without empty lines and repetitions."""
    items = [line.strip() for line in path.read_text("utf-8-sig").splitlines()]
    return hold_out(
        path.stem, list(dict.fromkeys(filter(None, items))), "as given", "unknown", seed
    )


def hold_out(name: str, items: Sequence[str], case: str, licence: str, seed: int) -> Data:
    """Return strings as `Data`, a tenth of them (chosen by `seed`) held out as the test set."""
    if len(items) < 20:
        raise InputError(f"expected at least 20 lines in {name}, got {len(items)}: add more data")
    encoding = Text("".join(sorted(set("".join(items)))), max(map(len, items)), case)
    order = torch.randperm(len(items), generator=torch.Generator().manual_seed(seed)).tolist()
    x = torch.from_numpy(encoding.one_hot([items[i] for i in order])).bool()
    held_out = len(items) // 10
    return Data(name, "text", x[held_out:], x[:held_out], licence, text=encoding)


def strings(x: torch.Tensor, encoding: Text) -> list[str]:
    """Return one-hot items, or probabilities x_hat, as strings."""
    decoded: list[str] = encoding.strings(x.float().numpy()).tolist()
    return decoded

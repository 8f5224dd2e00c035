"""Fit the table that `edgevae denoise` needs, and add it to a bundle."""

from pathlib import Path

from torch import Tensor

import edgevae
from edgevae import bundle, denoising
from train.data.dataset import as_float

ITEMS = 6_000  # enough for the few hundred gains of a table


def add_table(source: bundle.Bundle, train: Tensor, out: Path) -> bundle.Bundle:
    """Write the bundle with a table fitted to evenly chosen training items; return it."""
    x = as_float(train[:: max(1, len(train) // ITEMS)][:ITEMS]).numpy()
    table = denoising.fit(edgevae.VAE(source).runner, x)
    return bundle.extend(source, out, arrays={denoising.FILE: table._asdict()})

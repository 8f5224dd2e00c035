"""What anomaly scores need to know of the data: statistics of the training items, p-values."""

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import edgevae
from edgevae import bundle, scoring
from edgevae.data import Features
from train.data import scaling
from train.data.dataset import Data, as_float
from train.experiments.run import fitted
from train.export.export import export

ALPHA = 0.01


def fit_scores(written: bundle.Bundle, data: Data) -> bundle.Bundle:
    """The bundle with statistics of the items it was trained on, calibrated by those held out.

    The statistics are of what training looked at, so that outliers do not spoil them either.
    Of signals the held-out windows that do not overlap, as p-values want items that say nothing
    of each other. Fewer than 99, which no p-value of ALPHA can come from, do not calibrate.
    """
    written = with_statistics(written, data)
    held_out = as_float(data.test[:: apart(data)]).numpy()
    if (len(held_out) + 1) * ALPHA < 1:
        return written
    calibrated = edgevae.load(written.path, "cpu").calibrate(held_out, ALPHA)
    return calibrated.save(written.path)


def with_statistics(written: bundle.Bundle, data: Data) -> bundle.Bundle:
    runner = edgevae.load(written.path, "cpu").runner
    statistics = scoring.fit(runner, looked_at(data.train, written.features).numpy())
    return bundle.extend(written, written.path, arrays={scoring.FILE: statistics.arrays()})


def looked_at(items: Tensor, features: Features | None) -> Tensor:
    """Items as training bounded them."""
    if features is None:
        return as_float(items)
    shape = (-1, *(1,) * (items.ndim - 2))
    center, scale = (
        torch.tensor(part).reshape(shape) for part in (features.center, features.scale)
    )
    return scaling.bounded(items, center, scale)


def apart(data: Data) -> int:
    """How many windows on from one is the next that shares no step with it; 1 of other items."""
    return 1 if data.stride is None else math.ceil(data.x_shape[-1] / data.stride)


def trained(
    data: Data, out: Path, architecture: dict[str, Any], recipe: dict[str, Any], seed: int = 0
) -> bundle.Bundle:
    """The bundle of a VAE of these items, with activations and the statistics of scores.

    One that is there already is not made again.
    """
    if (out / "bundle").exists():
        return bundle.read(out / "bundle")
    content = fitted(
        data, out, architecture, recipe | {"seed": seed}, precision="32-true", accelerator="cpu"
    )
    written = export(content | {"prior": None}, out / "bundle", activations=True)
    return with_statistics(written, data)

"""Add statistics of the training items and a calibration to a bundle, for anomaly scores."""

import math

import torch
from torch import Tensor

import edgevae
from edgevae import bundle, scoring
from edgevae.data import Features
from train.data import scaling
from train.data.dataset import Data, as_float

ALPHA = 0.01


def fit_scores(written: bundle.Bundle, data: Data) -> bundle.Bundle:
    """Add statistics of the training items to a bundle, and calibrate it by the held-out ones.

    The statistics are those of the items as training bounded them, so that outliers do not spoil
    them. Of signals, only held-out windows that do not overlap calibrate, as p-values require
    independent items. The bundle is not calibrated by fewer than 99 items, from which no p-value as
    small as ALPHA can come.
    """
    written = with_statistics(written, data)
    held_out = as_float(data.test[:: independent_step(data)]).numpy()
    if (len(held_out) + 1) * ALPHA < 1:
        return written
    calibrated = edgevae.load(written.path, "cpu").calibrate(held_out, ALPHA)
    return calibrated.save(written.path)


def with_statistics(written: bundle.Bundle, data: Data) -> bundle.Bundle:
    """Add statistics of the training items to a bundle."""
    runner = edgevae.load(written.path, "cpu").runner
    statistics = scoring.fit(runner, bounded_items(data.train, written.features).numpy())
    return bundle.extend(
        written, written.path, arrays={scoring.STATISTICS_FILE: statistics.arrays()}
    )


def bounded_items(items: Tensor, features: Features | None) -> Tensor:
    """Return items as float32, bounded as in training."""
    if features is None:
        return as_float(items)
    shape = (-1, *(1,) * (items.ndim - 2))
    center, scale = (
        torch.tensor(part).reshape(shape) for part in (features.center, features.scale)
    )
    return scaling.bounded(items, center, scale)


def independent_step(data: Data) -> int:
    """Return the step from a window to the next that shares no time with it; 1 for other kinds."""
    return 1 if data.stride is None else math.ceil(data.x_shape[-1] / data.stride)

"""Robust scaling: what training sees of vectors and signals, whatever their units.

The centre is the median and the scale the interquartile range / 1.349, which is the standard
deviation of a Gaussian: up to a quarter of outliers on one side cannot spoil them.
"""

import numpy as np
import torch
from torch import Tensor

NORMAL_IQR = 1.349  # of a standard normal
LIMIT = 10.0  # scales from the centre: training looks no further


def robust(items: Tensor) -> tuple[Tensor, Tensor]:
    """Centre and scale of each feature of items (N, C) or (N, C, L): two of shape (C,).

    A feature whose quartiles are one value is scaled by its standard deviation, and a constant
    one keeps 1.
    """
    values = items.transpose(0, 1).flatten(1).double().numpy()
    low, center, high = np.percentile(values, (25, 50, 75), axis=1)
    deviation = values.std(axis=1)
    constant = values.max(axis=1) == values.min(axis=1)
    scale = np.where(high > low, (high - low) / NORMAL_IQR, deviation)
    scale = np.where(constant, 1.0, scale)
    return torch.from_numpy(center).float(), torch.from_numpy(scale).float()


def bounded(items: Tensor, center: Tensor, scale: Tensor) -> Tensor:
    """Items, with values further than LIMIT scales from the centre brought to there.

    Else a few outliers would make up most of the loss.
    """
    return torch.clamp(items, center - LIMIT * scale, center + LIMIT * scale)

"""Robust scaling of vectors and signals, whatever their units.

The centre is the median and the scale the interquartile range / 1.349, which is the standard
deviation of a Gaussian: up to a quarter of outliers on one side does not affect them.
"""

import numpy as np
import torch
from torch import Tensor

NORMAL_IQR = 1.349  # of a standard normal
LIMIT = 10.0  # in scales from the centre: values are clamped to this distance


def robust(items: Tensor) -> tuple[Tensor, Tensor]:
    """Return the centre and scale, each (C,), of the features of items (N, C) or (N, C, L).

    A feature whose quartiles are equal is scaled by its standard deviation, a constant one by 1.
    """
    values = items.transpose(0, 1).flatten(1).double().numpy()
    low, center, high = np.percentile(values, (25, 50, 75), axis=1)
    deviation = values.std(axis=1)
    constant = values.max(axis=1) == values.min(axis=1)
    scale = np.where(high > low, (high - low) / NORMAL_IQR, deviation)
    scale = np.where(constant, 1.0, scale)
    return torch.from_numpy(center).float(), torch.from_numpy(scale).float()


def bounded(items: Tensor, center: Tensor, scale: Tensor) -> Tensor:
    """Clamp values to LIMIT scales from the centre, so that a few outliers do not rule the loss."""
    return torch.clamp(items, center - LIMIT * scale, center + LIMIT * scale)

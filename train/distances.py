"""Distances between two sets of feature vectors, (N, F) and (M, F).

    frechet            the squared 2-Wasserstein distance of two Gaussians (Dowson and Landau 1982)
    precision, recall  Kynkäänniemi et al. 2019
    density, coverage  Naeem et al. 2020

None of them is called FID, which means the features of one Inception network.
"""

import numpy as np
import scipy.linalg
import torch
from numpy.typing import NDArray
from torch import Tensor

Features = NDArray[np.float32]


def frechet(real: Features, fake: Features) -> float:
    """|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)), in float64."""
    mean1, mean2 = (part.mean(0, dtype=np.float64) for part in (real, fake))
    cov1, cov2 = (np.cov(part.astype(np.float64), rowvar=False) for part in (real, fake))
    # The eigenvalues of C1 C2 are those of a positive semi-definite matrix, but for rounding.
    eigenvalues = scipy.linalg.eigvals(cov1 @ cov2).real.clip(0)
    trace = np.trace(cov1) + np.trace(cov2) - 2 * np.sqrt(eigenvalues).sum()
    return float(((mean1 - mean2) ** 2).sum() + trace)


def neighbour_metrics(real: Features, fake: Features, k: int = 5) -> dict[str, float]:
    """precision, recall, density and coverage by the balls of the k-th nearest neighbour."""
    real_t, fake_t = torch.from_numpy(real), torch.from_numpy(fake)
    real_radius, fake_radius = radii(real_t, k), radii(fake_t, k)
    inside_real = torch.zeros(len(fake), dtype=torch.int64)
    inside_fake = torch.zeros(len(real), dtype=torch.bool)
    nearest_fake = torch.full((len(real),), torch.inf)
    for rows in torch.arange(len(fake)).split(1000):
        distance = torch.cdist(real_t, fake_t[rows])
        inside_real[rows] = (distance <= real_radius[:, None]).sum(0)
        inside_fake |= (distance <= fake_radius[rows]).any(1)
        nearest_fake = torch.minimum(nearest_fake, distance.amin(1))
    return {
        "precision": (inside_real > 0).double().mean().item(),
        "recall": inside_fake.double().mean().item(),
        "density": inside_real.sum().item() / (k * len(fake)),
        "coverage": (nearest_fake <= real_radius).double().mean().item(),
    }


def radii(points: Tensor, k: int) -> Tensor:
    """The distance of each point to its k-th nearest neighbour among the others."""
    parts = [
        torch.cdist(points[rows], points).kthvalue(k + 1, dim=1).values  # itself comes first
        for rows in torch.arange(len(points)).split(1000)
    ]
    return torch.cat(parts)


def nearest(points: Tensor, among: Tensor) -> Tensor:
    """The distance of each of `points` to the nearest of `among`, both (N, F)."""
    best = torch.full((len(points),), torch.inf)
    for chunk in among.split(5000):
        best = torch.minimum(best, torch.cdist(points, chunk).amin(1))
    return best

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

from edgevae.errors import InputError

Features = NDArray[np.float32]
ROWS = 1000  # rows of a chunk: 1,000 x 10,000 distances take 80 MB


def frechet(real: Features, fake: Features) -> float:
    """Return |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)), computed in float64."""
    mean1, mean2 = (part.mean(0, dtype=np.float64) for part in (real, fake))
    cov1, cov2 = (
        np.atleast_2d(np.cov(part.astype(np.float64), rowvar=False)) for part in (real, fake)
    )
    # Up to rounding, C1 C2 has the eigenvalues of a positive semi-definite matrix.
    eigenvalues = scipy.linalg.eigvals(cov1 @ cov2).real.clip(0)
    trace = np.trace(cov1) + np.trace(cov2) - 2 * np.sqrt(eigenvalues).sum()
    return float(((mean1 - mean2) ** 2).sum() + trace)


def neighbour_metrics(
    real: Features, fake: Features, k: int = 5, real_radius: Tensor | None = None
) -> dict[str, float]:
    """Return precision, recall, density and coverage by balls around points.

    The ball of a point is closed and reaches its k-th nearest neighbour. Precision is the share of
    fake points in the ball of any real point; recall the share of real points in the ball of any
    fake point; density the mean number of real balls that a fake point lies in, over k; coverage
    the share of real balls that contain a fake point. `real_radius` is radii(real, k) if the caller
    has it.
    """
    real_t, fake_t = torch.from_numpy(real), torch.from_numpy(fake)
    real_radius = radii(real_t, k) if real_radius is None else real_radius
    fake_radius = radii(fake_t, k)
    inside_real = torch.zeros(len(fake), dtype=torch.int64)
    inside_fake = torch.zeros(len(real), dtype=torch.bool)
    covered = torch.zeros(len(real), dtype=torch.bool)
    for rows in torch.arange(len(fake)).split(ROWS):
        distance = pairwise(real_t, fake_t[rows])
        in_real_ball = distance <= real_radius[:, None]
        inside_real[rows] = in_real_ball.sum(0)
        covered |= in_real_ball.any(1)
        inside_fake |= (distance <= fake_radius[rows]).any(1)
    return {
        "precision": (inside_real > 0).double().mean().item(),
        "recall": inside_fake.double().mean().item(),
        "density": inside_real.sum().item() / (k * len(fake)),
        "coverage": covered.double().mean().item(),
    }


def radii(points: Tensor, k: int) -> Tensor:
    """Return the distance of each point to its k-th nearest neighbour among the others: (N,)."""
    if len(points) <= k:
        raise InputError(
            f"expected more than {k} points for {k} neighbours, got {len(points)}: judge more items"
        )
    parts = []
    for rows in torch.arange(len(points)).split(ROWS):
        distance = pairwise(points[rows], points)
        distance[torch.arange(len(rows)), rows] = torch.inf  # to itself
        parts.append(distance.topk(k, dim=1, largest=False).values[:, -1])
    return torch.cat(parts)


def nearest(points: Tensor, among: Tensor) -> Tensor:
    """Return the distance of each of `points` (N, F) to the nearest of `among` (M, F): (N,)."""
    best = torch.full((len(points),), torch.inf)
    for chunk in among.split(5 * ROWS):
        best = torch.minimum(best, pairwise(points, chunk).amin(1))
    return best


def pairwise(a: Tensor, b: Tensor) -> Tensor:
    """Return Euclidean distances (N, M) of float32 points (N, F) and (M, F); 0 for equal points.

    |a|^2 + |b|^2 - 2ab cancels: even in float64 the distance of equal points may not be 0, so that
    squares below 1e-13 of the terms count as 0. The result is rounded to float32, so that a pair
    has the same distance in any chunk.
    """
    a, b = a.double(), b.double()
    scale = a.square().sum(1)[:, None] + b.square().sum(1)
    squares = torch.addmm(scale, a, b.T, alpha=-2)
    squares[squares < 1e-13 * scale] = 0
    return squares.sqrt_().float()

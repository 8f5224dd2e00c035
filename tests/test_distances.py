import numpy as np
import pytest
import torch

from train import distances


def gaussian(rows, dims, seed):
    return np.random.default_rng(seed).standard_normal((rows, dims)).astype(np.float32)


def test_frechet_of_a_set_with_itself_is_zero():
    x = gaussian(500, 6, 0)
    assert distances.frechet(x, x) == pytest.approx(0, abs=1e-6)


def test_frechet_of_a_shift_and_of_a_scale():
    """|m1 - m2|^2 for a shift; for covariances C and 4 C, tr(C + 4 C - 2 * 2 C) = tr C."""
    x = gaussian(500, 6, 0)
    assert distances.frechet(x, x + 2) == pytest.approx(24, rel=1e-3)
    centred = x - x.mean(0)
    trace = np.trace(np.cov(centred.astype(np.float64), rowvar=False))
    assert distances.frechet(centred, 2 * centred) == pytest.approx(trace, rel=1e-3)


def test_the_same_distribution_fills_and_is_filled():
    metrics = distances.neighbour_metrics(gaussian(2000, 4, 0), gaussian(2000, 4, 1))
    assert metrics["precision"] > 0.95
    assert metrics["recall"] > 0.95
    assert metrics["density"] == pytest.approx(1, abs=0.1)
    assert metrics["coverage"] > 0.93


def test_a_dropped_mode_costs_recall_and_coverage_alone():
    real = gaussian(2000, 4, 0)
    real[:1000] += 50
    metrics = distances.neighbour_metrics(real, gaussian(2000, 4, 1))
    assert metrics["precision"] > 0.95
    assert metrics["recall"] < 0.55
    assert metrics["coverage"] < 0.55


def test_a_point_s_radius_leaves_itself_out():
    points = torch.tensor([[0.0], [1.0], [3.0]])
    assert distances.radii(points, 1).tolist() == [1, 1, 2]


def test_nearest():
    points, among = torch.tensor([[0.0], [9.0]]), torch.tensor([[1.0], [5.0]])
    assert distances.nearest(points, among).tolist() == [1, 4]

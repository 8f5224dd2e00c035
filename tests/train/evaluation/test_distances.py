import numpy as np
import pytest
import torch

from train.evaluation import distances


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


def naive(real, fake, k):
    """Compute the metrics directly from their definitions."""

    def distance(a, b):
        return np.sqrt(((a.astype(np.float64)[:, None] - b[None]) ** 2).sum(2))

    def radius(points):
        return np.sort(distance(points, points), axis=1)[:, k]  # column 0 is the point itself

    cross = distance(real, fake)
    in_real, in_fake = cross <= radius(real)[:, None], cross <= radius(fake)[None]
    return {
        "precision": in_real.any(0).mean(),
        "recall": in_fake.any(1).mean(),
        "density": in_real.sum() / (k * len(fake)),
        "coverage": in_real.any(1).mean(),
    }


def test_the_metrics_are_their_definitions(monkeypatch):
    monkeypatch.setattr(distances, "ROWS", 37)  # chunks that do not divide the sets
    real, fake = gaussian(150, 3, 0), 0.7 * gaussian(130, 3, 1) + 0.4
    assert distances.neighbour_metrics(real, fake, 4) == pytest.approx(naive(real, fake, 4))
    radius = distances.radii(torch.from_numpy(real), 4)
    assert distances.neighbour_metrics(real, fake, 4, radius) == pytest.approx(naive(real, fake, 4))


def test_duplicates_far_from_the_origin_are_at_distance_zero():
    """The form |a|^2 + |b|^2 - 2ab would round, and every ball of radius 0 would be missed."""
    points = np.repeat(gaussian(20, 16, 0) + 100, 8, axis=0)
    assert (distances.radii(torch.from_numpy(points), 5) == 0).all()
    metrics = distances.neighbour_metrics(points, points.copy(), 5)
    assert metrics == {"precision": 1, "recall": 1, "density": 8 / 5, "coverage": 1}


def test_too_few_points_for_k_neighbours_are_refused():
    with pytest.raises(ValueError, match="more than 5 points"):
        distances.neighbour_metrics(gaussian(5, 2, 0), gaussian(50, 2, 1))


def test_nearest():
    points, among = torch.tensor([[0.0], [9.0]]), torch.tensor([[1.0], [5.0]])
    assert distances.nearest(points, among).tolist() == [1, 4]

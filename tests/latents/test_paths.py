"""Paths keep their ends and shape, an arc keeps the radius, and positions stay in the prior."""

import math

import numpy as np
import pytest

from edgevae.latents import paths
from edgevae.sampling import MixtureTable


@pytest.fixture
def ends():
    a, b = np.random.default_rng(0).standard_normal((2, 2, 8)).astype(np.float32)
    return a, b * (np.linalg.norm(a) / np.linalg.norm(b)).astype(np.float32)


@pytest.mark.parametrize("way", [paths.line, paths.arc])
def test_both_ends_are_on_the_way(way, ends):
    z = way(*ends, 7)
    assert (z.shape, z.dtype) == ((7, 2, 8), np.float32)
    np.testing.assert_array_equal(z[[0, -1]], ends)


def test_an_arc_keeps_the_radius_and_goes_at_one_speed(ends):
    z = paths.arc(*ends, 9).reshape(9, -1).astype(np.float64)
    radius = np.linalg.norm(ends[0])
    np.testing.assert_allclose(np.linalg.norm(z, axis=1), radius, rtol=1e-5)
    steps = np.linalg.norm(np.diff(z, axis=0), axis=1)
    np.testing.assert_allclose(steps, steps[0], rtol=1e-4)
    middle = paths.line(*ends, 9)[4]
    assert np.linalg.norm(middle) < 0.9 * radius


@pytest.mark.parametrize("scale", [0.0, 2.0, -1.0])
def test_without_one_arc_it_is_the_line(ends, scale):
    b = (scale * ends[0]).astype(np.float32)
    np.testing.assert_array_equal(paths.arc(ends[0], b, 5), paths.line(ends[0], b, 5))


def test_one_dimension_changes_alone(ends):
    z = paths.along(ends[0], 9, np.array([-1, 5], np.float32))
    changed = z.reshape(2, -1) != ends[0].ravel()
    np.testing.assert_array_equal(np.flatnonzero(changed.any(0)), [9])
    np.testing.assert_array_equal(z[:, 1, 1], [-1, 5])


def phi(x):
    return 0.5 * np.vectorize(math.erfc)(-np.asarray(x, float) / math.sqrt(2))


def test_positions_span_the_standard_normal():
    z = np.zeros(6, np.float32)
    np.testing.assert_allclose(paths.positions(None, z, 3, 5, 2), [-2, -1, 0, 1, 2])


@pytest.mark.parametrize("span", [0.5, 2.5, 6.0])
def test_positions_are_quantiles_of_the_mixture_given_the_other_dimensions(span):
    """The weights of the components at z[0] = 0.5 follow from Bayes' rule."""
    means, logvars = [[0.0, -1.0], [2.0, 3.0]], np.log([[1.0, 1.0], [1.0, 4.0]])
    table = MixtureTable([1, 3], means, logvars)
    odds = np.array([1 * math.exp(-(0.5**2) / 2), 3 * math.exp(-(1.5**2) / 2)])
    odds /= odds.sum()
    places = paths.positions(table, np.array([0.5, 77], np.float32), 1, 5, span).astype(float)
    scores = np.linspace(-span, span, 5)
    below = odds @ [phi(places + 1), phi((places - 3) / 2)]
    above = odds @ [phi(-places - 1), phi((3 - places) / 2)]
    np.testing.assert_allclose(below[:3], phi(scores[:3]), rtol=2e-5)
    np.testing.assert_allclose(above[2:], phi(-scores[2:]), rtol=2e-5)


def test_one_component_is_a_normal():
    table = MixtureTable([1], [[1.0, -2.0]], np.log([[1.0, 4.0]]))
    z = np.array([[9.0], [9.0]], np.float32)
    np.testing.assert_allclose(paths.positions(table, z, 1, 3, 1.5), [-5, -2, 1], rtol=1e-6)


def test_components_far_away_count_for_nothing():
    means = np.zeros((2, 40), np.float32)
    means[1] = 50
    table = MixtureTable([1, 1e6], means, np.zeros((2, 40)))
    z = np.zeros(40, np.float32)
    np.testing.assert_allclose(paths.positions(table, z, 7, 3, 2), [-2, 0, 2], atol=1e-5)

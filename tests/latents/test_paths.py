"""Ways between latents keep their ends and their shape; an arc keeps the radius."""

import numpy as np
import pytest

from edgevae.latents import paths as walks
from edgevae.sampling import MixtureTable


@pytest.fixture
def ends():
    a, b = np.random.default_rng(0).standard_normal((2, 2, 8)).astype(np.float32)
    return a, b * (np.linalg.norm(a) / np.linalg.norm(b)).astype(np.float32)


@pytest.mark.parametrize("way", [walks.line, walks.arc])
def test_both_ends_are_on_the_way(way, ends):
    z = way(*ends, 7)
    assert (z.shape, z.dtype) == ((7, 2, 8), np.float32)
    np.testing.assert_array_equal(z[[0, -1]], ends)


def test_an_arc_keeps_the_radius_and_goes_at_one_speed(ends):
    z = walks.arc(*ends, 9).reshape(9, -1).astype(np.float64)
    radius = np.linalg.norm(ends[0])
    np.testing.assert_allclose(np.linalg.norm(z, axis=1), radius, rtol=1e-5)
    steps = np.linalg.norm(np.diff(z, axis=0), axis=1)
    np.testing.assert_allclose(steps, steps[0], rtol=1e-4)
    middle = walks.line(*ends, 9)[4]
    assert np.linalg.norm(middle) < 0.9 * radius


@pytest.mark.parametrize("scale", [0.0, 2.0, -1.0])
def test_without_one_arc_it_is_the_line(ends, scale):
    b = (scale * ends[0]).astype(np.float32)
    np.testing.assert_array_equal(walks.arc(ends[0], b, 5), walks.line(ends[0], b, 5))


def test_one_dimension_changes_alone(ends):
    z = walks.along(ends[0], 9, np.array([-1, 5], np.float32))
    changed = z.reshape(2, -1) != ends[0].ravel()
    np.testing.assert_array_equal(np.flatnonzero(changed.any(0)), [9])
    np.testing.assert_array_equal(z[:, 1, 1], [-1, 5])


def test_positions_span_the_prior():
    np.testing.assert_allclose(walks.positions(None, 3, 5, 2), [-2, -1, 0, 1, 2])
    table = MixtureTable([1, 3], [[0.0, -1.0], [0.0, 3.0]], np.log([[1.0, 1.0], [1.0, 4.0]]))
    mean, variance = 2.0, (1 * (1 + 9) + 3 * (4 + 1)) / 4
    places = walks.positions(table, 1, 3, 1.5)
    np.testing.assert_allclose(places, mean + 1.5 * np.sqrt(variance) * np.array([-1, 0, 1]))

"""A prior draws the rows of the stream, of N(0, I), of a mixture or of the class's mixture."""

import numpy as np
import pytest

from edgevae import sampling
from edgevae.latents import Prior
from edgevae.sampling import MixtureTable


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    means, logvars = rng.standard_normal((2, 6, 4)).astype(np.float32)
    return MixtureTable(rng.random(6), means, logvars)


def test_the_standard_normal_is_the_stream_itself():
    z = Prior((2, 2)).draw(5, seed=3, start=7, temperature=0.5)
    expected = sampling.normal(5, 4, seed=3, start=7) * np.float32(0.5)
    np.testing.assert_array_equal(z, expected.reshape(5, 2, 2))


def test_a_mixture_draws_its_rows(table):
    z = Prior((2, 2), table).draw(50, seed=3, start=7)
    expected = sampling.mixture(50, table, seed=3, start=7)
    np.testing.assert_array_equal(z.reshape(50, 4), expected)


def test_each_class_has_the_components_of_its_block(table):
    y = np.arange(60) % 3
    z = Prior((4,), table, classes=3).draw(60, seed=1, temperature=0, y=y)
    for row, number in zip(z, y, strict=True):
        assert (row == table.means[2 * number : 2 * number + 2]).all(1).any()


@pytest.mark.parametrize("classes", [0, 3])
def test_out_is_filled_and_returned(table, classes):
    prior, y = Prior((2, 2), table, classes), np.arange(9) % 3
    out = np.empty((9, 2, 2), np.float32)
    assert prior.draw(9, seed=1, y=y, out=out) is out
    np.testing.assert_array_equal(out, prior.draw(9, seed=1, y=y))


def test_rows_wrap_as_64_bits_do(table):
    prior = Prior((4,), table)
    last = prior.draw(3, seed=1, start=2**64 - 1)
    np.testing.assert_array_equal(last[1:], prior.draw(2, seed=1, start=2**64))

"""Latents are read as one or as a batch, and others are refused."""

import numpy as np
import pytest

from edgevae.errors import InputError
from edgevae.latents import read_latents


def test_a_single_latent_becomes_a_batch_of_one():
    z = np.arange(6.0).reshape(2, 3)
    for latent, single in ((z, True), (z[None], False), (z[None].tolist(), False)):
        rows, was_single = read_latents(latent, (2, 3))
        assert (rows.dtype, rows.shape, was_single) == (np.float32, (1, 2, 3), single)
    assert read_latents(np.zeros((0, 2, 3)), (2, 3))[0].shape == (0, 2, 3)


@pytest.mark.parametrize("shape", [(2, 3, 2), (6,), (1, 1, 2, 3), ()])
def test_another_shape_is_refused(shape):
    with pytest.raises(InputError, match=r"z: expected shape \(N, 2, 3\) or \(2, 3\), got"):
        read_latents(np.zeros(shape, np.float32), (2, 3))


def test_latents_that_are_not_finite_are_refused():
    with pytest.raises(InputError, match="z: expected finite numbers"):
        read_latents(np.full((2, 3), np.nan), (2, 3))

"""`edgevae encode` writes the posterior of each item."""

import numpy as np

from edgevae import cli, vae


def test_encode_writes_the_posterior_of_each_file(grey, files):
    assert cli.main(["encode", "images", "--model", grey]) == 0
    expected = vae.load(grey).encode(files)
    with np.load("latents.npz") as got:
        np.testing.assert_allclose(got["mu"], expected.mu, atol=1e-6)
        np.testing.assert_allclose(got["logvar"], expected.logvar, atol=1e-6)

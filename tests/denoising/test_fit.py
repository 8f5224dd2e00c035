"""Only bundles of images that were trained to denoise can have a table."""

import pytest

import edgevae
from edgevae import InputError, denoising


def test_some_bundles_cannot_have_a_table(tiny_paths):
    for name, error in (("colour", "was not trained to denoise"), ("vector", "expected images")):
        vae = edgevae.load(tiny_paths[name])
        with pytest.raises(InputError, match=error):
            denoising.fit(vae.runner, vae.generate(3))

"""`python -m train prior` fits the mixture of a bundle to the posteriors of its encoder."""

import numpy as np
import pytest

import edgevae
from edgevae import bundle
from edgevae.errors import InputError
from train.__main__ import main
from train.data.dataset import as_float
from train.data.datasets import load


def test_latents_are_likelier_under_the_fitted_mixture(tiny_paths, squares, tmp_path):
    path = tiny_paths["grey"]
    options = ["--data", str(squares), "--components", "3", "--out", str(tmp_path / "fitted")]
    main(["prior", str(path), *options])
    before, after = bundle.read(path), bundle.read(tmp_path / "fitted")
    assert (after.prior, after.components) == ("mixture", 3)
    x = as_float(load("squares", squares).train).numpy()
    z = edgevae.load(path).encode(x).sample(seed=9).reshape(len(x), -1)
    densities = [each.mixture().log_density(z).mean() for each in (before, after)]
    assert densities[1] > densities[0] + 1
    np.testing.assert_array_equal(after.selfcheck()["x_hat"], before.selfcheck()["x_hat"])


def test_a_bundle_with_classes_is_refused(tiny_paths, squares):
    with pytest.raises(InputError, match="without classes, got 'tiny-image' of 3"):
        main(["prior", str(tiny_paths["classes"]), "--data", str(squares)])


def test_p_values_of_iwae_are_refused(tiny_paths, squares, tmp_path):
    vae = edgevae.load(tiny_paths["grey"])
    x = np.random.default_rng(0).random((120, *vae.bundle.x_shape), np.float32)
    vae.calibrate(x, methods=["iwae"]).save(tmp_path / "calibrated")
    with pytest.raises(InputError, match="expected a bundle without p-values of iwae"):
        main(["prior", str(tmp_path / "calibrated"), "--data", str(squares)])

"""A table that does not fit its bundle is refused."""

import numpy as np
import pytest

import edgevae
from edgevae import BundleError, bundle, denoising


def test_a_wrong_table_is_refused(denoiser, tmp_path):
    table = denoising.read(denoiser)._asdict()
    wrong = {denoising.FILE: {**table, "noisy": table["noisy"][:, :2]}}
    damaged = bundle.extend(denoiser, tmp_path / "wrong", arrays=wrong)
    with pytest.raises(BundleError, match="expected noisy of shape"):
        edgevae.load(damaged.path).denoise(np.zeros((1, 1, 8, 8), np.float32))

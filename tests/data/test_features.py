"""Features of a bundle: names, scales and the values that replace missing ones."""

import json

import numpy as np
import pytest
from tiny import Tiny

import edgevae
from edgevae import bundle
from edgevae.data import Features
from edgevae.errors import BundleError, InputError

SIGNAL = Tiny("signal", (2, 6), None, (3,))
FEATURES = Features(("speed", "load"), (1.0, -2.0), (0.5, 30.0), (1.5, -4.0))


@pytest.fixture(scope="module")
def signal(tmp_path_factory):
    path = tmp_path_factory.mktemp("signal") / "b"
    sigma = {"name": "gaussian", "sigma": [0.5, 2.0]}
    return SIGNAL.write(path, features=FEATURES, stride=3, likelihood=sigma)


def test_features_and_stride_are_read_back(signal):
    assert signal.features == FEATURES
    assert signal.stride == 3
    assert signal.kind == "signal"


def test_a_sigma_for_each_feature_becomes_one_for_each_value(signal):
    assert signal.likelihood["sigma"] == [0.5] * 6 + [2.0] * 6


def test_missing_values_are_replaced_as_training_replaced_them(signal):
    vae = edgevae.load(signal.path, "cpu")
    x = np.random.default_rng(0).random((3, 2, 6), np.float32)
    full = x.copy()
    x[1, 0, 2], full[1, 0, 2] = np.nan, 1.5
    x[2, 1], full[2, 1] = np.nan, -4.0
    np.testing.assert_array_equal(vae.encode(x).mu, vae.encode(full).mu)
    np.testing.assert_array_equal(vae.encode(x[1]).mu, vae.encode(full[1]).mu)
    with pytest.raises(InputError, match="got NaN or infinity in row 1"):
        vae.encode(np.where(np.isnan(x), np.inf, x))


def test_missing_values_are_refused_if_no_imputation_is_known(tmp_path):
    without_impute = FEATURES._replace(impute=None)
    vae = edgevae.load(SIGNAL.write(tmp_path / "b", features=without_impute).path, "cpu")
    with pytest.raises(InputError, match="got NaN or infinity in row 0"):
        vae.encode(np.full((1, 2, 6), np.nan, np.float32))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"names": ["speed"]}, "names must have an entry for each of 2 features"),
        ({"center": "1, 2"}, "center must be a list of numbers"),
        ({"scale": [1, 0]}, "scale above 0"),
        ({"impute": [None, 1]}, "impute must be a list of numbers"),
    ],
)
def test_features_that_do_not_fit_are_refused(signal, tmp_path, change, message):
    manifest = json.loads((signal.path / "manifest.json").read_text())
    manifest["features"] |= change
    for file in signal.files:
        (tmp_path / file).write_bytes((signal.path / file).read_bytes())
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match=message):
        bundle.read(tmp_path)

"""Vectors: numbers that may have names, and whose missing values may be imputed."""

import numpy as np
import pytest

from edgevae.data import Features, Vector, kind_from_json
from edgevae.errors import BundleError, InputError
from edgevae.json_fields import Fields

FEATURES = Features(("volts", "amps"), (0.0, 1.0), (1.0, 2.0), (0.5, 1.5))


def test_features_name_the_columns():
    assert Vector((2,), None, FEATURES).feature_names == ("volts", "amps")
    assert Vector((2,)).feature_names == ("x0", "x1")
    assert Vector((2,)).window is None


def test_missing_values_are_imputed_if_training_did_so():
    x = np.float32([[np.nan, 3], [4, np.nan]])
    np.testing.assert_array_equal(
        Vector((2,), None, FEATURES).read(x).rows, np.float32([[0.5, 3], [4, 1.5]])
    )
    with pytest.raises(InputError, match="got NaN or infinity in row 0"):
        Vector((2,)).read(x)


def test_features_must_fit_the_shape():
    described = {**Vector((2,), None, FEATURES).as_json(), "x": {"shape": [3], "range": None}}
    with pytest.raises(BundleError, match="names must have an entry for each of 3 features"):
        kind_from_json(Fields(described, "m"))

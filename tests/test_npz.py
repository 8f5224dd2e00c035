"""The .npz files of a bundle keep arrays with their types, and hold nothing else."""

import numpy as np
import pytest

from edgevae import npz
from edgevae.errors import BundleError


def test_arrays_come_back_with_their_types(tmp_path):
    (tmp_path / "a.npz").write_bytes(npz.dump({"mean": np.float64([1 / 3]), "count": [1, 2]}))
    arrays = npz.load(tmp_path / "a.npz")
    assert (arrays["mean"].dtype, arrays["count"].dtype) == (np.float64, np.int64)
    assert arrays["mean"][0] == 1 / 3


def test_arrays_of_the_prior_and_the_self_check_have_fixed_types(tmp_path):
    (tmp_path / "a.npz").write_bytes(npz.dump_typed({"z": [[1.0]], "y": [2]}))
    arrays = npz.load_typed(tmp_path / "a.npz", ["z", "y"])
    assert (arrays["z"].dtype, arrays["y"].dtype) == (np.float32, np.int64)
    (tmp_path / "a.npz").write_bytes(npz.dump({"z": [[1.0]]}))
    with pytest.raises(BundleError, match="z must be float32, got float64"):
        npz.load_typed(tmp_path / "a.npz", ["z"])


@pytest.mark.parametrize("content", [b"", b"PK", npz.dump({"mean": [1.0]})])
def test_a_file_without_the_arrays_is_refused(tmp_path, content):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(BundleError, match=r"a\.npz: expected arrays z, got"):
        npz.load(tmp_path / "a.npz", ["z"])


@pytest.mark.parametrize("value", [np.nan, np.inf, "text"])
def test_numbers_are_finite(tmp_path, value):
    (tmp_path / "a.npz").write_bytes(npz.dump({"z": [value]}))
    with pytest.raises(BundleError, match="z must be finite numbers"):
        npz.load(tmp_path / "a.npz")


def test_a_shape_is_checked(tmp_path):
    npz.check_shape(tmp_path, "z", np.zeros((2, 3)), (2, 3))
    with pytest.raises(BundleError, match=r"z must have shape \(2, 4\), got \(2, 3\)"):
        npz.check_shape(tmp_path, "z", np.zeros((2, 3)), (2, 4))

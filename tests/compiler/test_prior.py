import numpy as np
import pytest

from edgevae import sampling
from edgevae.compiler import prior
from edgevae.errors import InputError

MEANS = np.float32([[5] * 6, [-5] * 6])


def test_the_standard_normal_has_no_table():
    assert prior.read(None, (2, 3)) is None


def test_a_mixture_is_read_from_a_file_or_an_object(tmp_path):
    arrays = {"weights": np.float32([0.5, 0.5]), "means": MEANS, "logvars": 0 * MEANS}
    np.savez(tmp_path / "p.npz", **arrays)
    for source in (tmp_path / "p.npz", sampling.MixtureTable(**arrays)):
        table = prior.read(source, (2, 3))
        np.testing.assert_array_equal(table.means, MEANS)


def test_a_mixture_of_other_latents_is_refused():
    table = sampling.MixtureTable(np.float32([0.5, 0.5]), MEANS, 0 * MEANS)
    with pytest.raises(InputError, match=r"prior: expected means \(K, 4\)"):
        prior.read(table, (4,))


def test_a_file_that_is_no_mixture_is_refused(tmp_path):
    (tmp_path / "p.npz").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"p\.npz: expected an \.npz with weights"):
        prior.read(tmp_path / "p.npz", (4,))

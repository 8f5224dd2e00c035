"""A device verifies within the tolerance of the bundle and of the precision."""

import numpy as np
import pytest

import edgevae
from edgevae.diagnostics import verify


@pytest.fixture
def verify_with_error(tiny_paths, monkeypatch):
    """Verify the grey VAE, whose x_hat is off by a difference, as if computed in a precision."""

    def verified(difference: float, precision: str = "float32"):
        vae = edgevae.load(tiny_paths["grey"], "cpu")
        decode = vae.decode
        monkeypatch.setattr(vae, "decode", lambda z, labels: decode(z) + np.float32(difference))
        vae.precision = precision
        return verify.verify(vae)

    return verified


def test_right_outputs_pass(verify_with_error):
    verification = verify_with_error(0)
    assert verification.failed == []
    assert set(verification.passed) == {"mu", "logvar", "x_hat", "stream"}
    assert str(verification).count("ok") == 4


@pytest.mark.parametrize(
    ("difference", "precision", "failed"),
    [
        (1e-3, "float32", ["x_hat"]),
        (np.nan, "float32", ["x_hat"]),
        (1e-3, "bf16", []),
        (0.08, "bf16", ["x_hat"]),
    ],
)
def test_a_difference_beyond_the_precision_fails(verify_with_error, difference, precision, failed):
    verification = verify_with_error(difference, precision)
    assert verification.failed == failed
    assert str(verification).count("FAILED") == len(failed)


def test_activations_are_checked_if_the_bundle_has_them(tinies, tmp_path):
    tiny = tinies["grey"]
    path = tiny.write(tmp_path / "b", activations=tiny.activations()).path
    assert verify.verify(edgevae.load(path)).passed["h"]
    check = tiny.arguments()["selfcheck"]
    wrong = check | {"h": check["h"] + np.float32(1e-3)}
    path = tiny.write(tmp_path / "c", activations=tiny.activations(), selfcheck=wrong).path
    assert verify.verify(edgevae.load(path)).failed == ["h"]

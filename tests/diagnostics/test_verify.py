"""The verdict on a device: within the tolerance of the bundle and of the precision."""

import numpy as np
import pytest

import edgevae
from edgevae.diagnostics import verify as selfcheck


@pytest.fixture
def off(tiny_paths, monkeypatch):
    """The grey VAE, whose x_hat is off by so much, as if computed in a precision."""

    def make(difference: float, precision: str = "float32"):
        vae = edgevae.load(tiny_paths["grey"], "cpu")
        decode = vae.decode
        monkeypatch.setattr(vae, "decode", lambda z, labels: decode(z) + np.float32(difference))
        vae.precision = precision
        return selfcheck.verify(vae)

    return make


def test_what_is_right_passes(off):
    verdict = off(0)
    assert verdict.failed == []
    assert set(verdict.passed) == {"mu", "logvar", "x_hat", "stream"}
    assert str(verdict).count("ok") == 4


@pytest.mark.parametrize(
    ("difference", "precision", "failed"),
    [
        (1e-3, "float32", ["x_hat"]),
        (np.nan, "float32", ["x_hat"]),
        (1e-3, "bf16", []),
        (0.08, "bf16", ["x_hat"]),
    ],
)
def test_a_difference_beyond_the_precision_fails(off, difference, precision, failed):
    verdict = off(difference, precision)
    assert verdict.failed == failed
    assert str(verdict).count("FAILED") == len(failed)


def test_activations_are_checked_where_there_are_any(tinies, tmp_path):
    tiny = tinies["grey"]
    path = tiny.write(tmp_path / "b", activations=tiny.activations()).path
    assert selfcheck.verify(edgevae.load(path)).passed["h"]
    check = tiny.arguments()["selfcheck"]
    wrong = check | {"h": check["h"] + np.float32(1e-3)}
    path = tiny.write(tmp_path / "c", activations=tiny.activations(), selfcheck=wrong).path
    assert selfcheck.verify(edgevae.load(path)).failed == ["h"]

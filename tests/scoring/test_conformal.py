"""P-values keep their promised rate, checked by counting."""

import numpy as np
import pytest
from scipy import stats

from edgevae.errors import InputError
from edgevae.scoring import conformal
from edgevae.scoring.conformal import Calibration


def calibration(scores, alpha=0.1):
    return Calibration(alpha, "float32", 64, {"recon": np.sort(np.asarray(scores, np.float64))})


def test_a_p_value_counts_the_normal_items_with_scores_as_high():
    p = calibration([1.0, 2.0, 2.0, 3.0]).p_values("recon", np.array([0.0, 2.0, 2.5, 3.0, 9.0]))
    np.testing.assert_allclose(p, np.array([5, 4, 2, 2, 1]) / 5)


@pytest.mark.parametrize("draw", ["normal", "ties"])
def test_p_values_of_normals_are_super_uniform(draw):
    """Over many calibrations, P(p <= alpha) is at most alpha, and near it without ties."""
    rng = np.random.default_rng(1)
    trials, n = 4000, 99
    scores = rng.standard_normal((trials, n + 1))
    if draw == "ties":
        scores = scores.round()
    p = np.array([calibration(row[1:]).p_values("recon", row[:1])[0] for row in scores])
    for alpha in (0.01, 0.05, 0.2, 0.5):
        flagged = int((p <= alpha).sum())
        assert flagged <= stats.binom.ppf(0.999, trials, alpha)
        if draw == "normal":  # (n + 1) alpha is whole: the rate is alpha
            assert flagged >= stats.binom.ppf(0.001, trials, alpha)


@pytest.mark.parametrize(("alpha", "needed"), [(0.5, 1), (0.1, 9), (0.05, 19), (0.01, 99)])
def test_how_many_normal_items_an_alpha_takes(alpha, needed):
    assert conformal.smallest_calibration(alpha) == needed
    assert conformal.check_alpha(alpha, needed) == alpha
    with pytest.raises(InputError, match=f"takes at least {needed} held-out normal items"):
        conformal.check_alpha(alpha, needed - 1)
    least = calibration(np.zeros(needed)).p_values("recon", np.ones(1))
    assert least[0] <= alpha * (1 + 1e-12)


@pytest.mark.parametrize("alpha", [0, 1, -0.1, 1.5, float("nan"), "0.1", None])
def test_a_wrong_alpha_is_refused(alpha):
    with pytest.raises(InputError, match="alpha: expected a number between 0 and 1"):
        conformal.check_alpha(alpha, 1000)


def test_false_discoveries_are_those_of_scipy():
    rng = np.random.default_rng(2)
    p = np.concatenate([rng.random(300), rng.random(50) ** 6])
    expected = stats.false_discovery_control(p) <= 0.1
    assert 10 < expected.sum() < 60
    np.testing.assert_array_equal(conformal.false_discoveries(p, 0.1), expected)
    assert not conformal.false_discoveries(np.ones(3), 0.1).any()
    assert conformal.false_discoveries(np.empty(0), 0.1).shape == (0,)

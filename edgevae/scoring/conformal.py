"""Split-conformal p-values: compare a score with the scores of held-out normal items.

The only assumption is that the normal items used for calibration and those to be judged are
exchangeable: every order of them is equally likely, as it is for independent draws from one
source. Then a normal item's p-value is at most alpha with probability at most alpha, whatever the
score. (Vovk, Gammerman and Shafer 2005; for outliers Bates et al. 2023.)

The assumption fails if the calibration items depend on each other or differ from later items:
- Overlapping windows of one stream are dependent, and so are windows of one run of a machine. The
  rate still holds on average over many streams, but that of one calibration may be far off, since
  n windows carry no more information than the n / overlap of them that do not overlap. Calibrate
  on windows that do not overlap, from as many runs as possible, none of which is judged later, and
  expect the precision of that number of windows.
- Items that the model was trained on have scores that are too low. Calibrate on other items.
- If a sensor, a season or a batch of material changes, all scores shift. Calibrate again.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgevae import checks
from edgevae.bundle import CALIBRATION_FILE, Bundle
from edgevae.errors import BundleError, InputError, show

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """The scores of held-out normal items.

    `scores` has those of each calibrated method: float64 (n,), ascending, without rounding, so that
    equal scores stay equal. `alpha` is the default rate at which anomalies are flagged. The scores
    are comparable only with scores of the same `precision` and, for `iwae`, of the same number of
    `draws`.
    """

    alpha: float
    precision: str
    draws: int
    scores: Mapping[str, Values]

    def p_values(self, method: str, values: Values) -> Values:
        """Return the p-value of each value of a method: float64 (N,).

        p = (1 + the number of calibration scores of at least the value) / (n + 1)
        """
        calibration = self.scores[method]
        at_least = len(calibration) - np.searchsorted(calibration, values, side="left")
        return np.asarray((1 + at_least) / (len(calibration) + 1), np.float64)

    def fields(self) -> dict[str, str | float]:
        """Return the manifest's fields, which accompany the arrays."""
        return {"alpha": self.alpha, "precision": self.precision, "draws": self.draws}


def read(bundle: Bundle) -> Calibration | None:
    """Return a bundle's calibration, or None if it has none.

    Raises `BundleError` for scores that are not sorted and for wrong fields of the manifest.
    """
    arrays = bundle.arrays(CALIBRATION_FILE)
    if arrays is None:
        return None
    fields = bundle.calibration
    alpha, precision, draws = (fields.get(key) for key in ("alpha", "precision", "draws"))
    sorted_ = all(a.ndim == 1 and len(a) and (np.diff(a) >= 0).all() for a in arrays.values())
    if not (
        isinstance(alpha, float)
        and 0 < alpha < 1
        and isinstance(precision, str)
        and isinstance(draws, int)
        and draws > 0
        and sorted_
    ):
        raise BundleError(
            f"{bundle.path / CALIBRATION_FILE}: expected sorted scores, and in the manifest's "
            f"calibration alpha between 0 and 1, precision, and draws of at least 1, got "
            f"{dict(fields)}; calibrate again"
        )
    scores = {method: array.astype(np.float64) for method, array in arrays.items()}
    return Calibration(alpha, precision, draws, scores)


def check_alpha(alpha: float, normals: int) -> float:
    """Return alpha. Raises `InputError` unless 0 < alpha < 1 and there are enough normal items."""
    rate = checks.real(alpha)
    if not 0 < rate < 1:
        raise InputError(f"alpha: expected a number between 0 and 1, got {show(alpha)}")
    if normals < (smallest := smallest_calibration(rate)):
        raise InputError(
            f"alpha: {rate:g} takes at least {smallest} held-out normal items, since no p-value "
            f"is below 1 / (n + 1), got {normals}: pass more items, or a larger alpha"
        )
    return rate


def smallest_calibration(alpha: float) -> int:
    """Return the smallest number of normal items with which a p-value can be alpha or less."""
    return math.ceil(1 / alpha - 1e-9) - 1


def false_discoveries(p_values: Values, alpha: float) -> npt.NDArray[np.bool_]:
    """Return which items to flag so that on average at most a share alpha of them is normal.

    This is the procedure of Benjamini and Hochberg (1995) over all the p-values (N,). It remains
    valid for p-values that share one calibration (Bates et al. 2023). A single anomaly among N
    items is flagged only if p <= alpha / N, which takes N / alpha - 1 calibration items; for k
    anomalies a k-th of that suffices.
    """
    order = np.sort(p_values)
    passed = np.flatnonzero(order <= alpha * np.arange(1, len(order) + 1) / max(len(order), 1))
    limit = order[passed[-1]] if len(passed) else -1.0
    return np.asarray(p_values <= limit)

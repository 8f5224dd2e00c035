"""Split-conformal p-values: what a score means, by the scores of normal items that were held out.

The only assumption is that the normal items that calibrate and those that are judged are
exchangeable: any order of them is as likely as any other, as with independent draws from one
source. Then a normal item's p-value is at most alpha with probability at most alpha, whatever the
score. (Vovk, Gammerman and Shafer 2005; for outliers Bates et al. 2023.)

It fails where the items that calibrate know of each other or differ from those to come:
- Overlapping windows of one stream, and windows of one run, are dependent. The average over many
  streams still holds, but one calibration may be far off it, as n windows are worth the n / overlap
  that do not overlap, or fewer. Calibrate on windows apart from each other, from as many runs as
  there are, and none of the runs that are judged; expect the precision of so many only.
- Items that the model was trained on score too low: hold the calibration's out of training.
- A sensor, season or batch that changes after calibration shifts every score: calibrate again.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgevae.bundle import Bundle
from edgevae.errors import BundleError, InputError

FILE = "calibration.npz"

Scores = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """The scores of held-out normal items.

    `scores` has those of each method that was calibrated: float64 (n,), ascending, as they were
    computed, so that ties are ties. `alpha` is what anomalies are flagged at unless another is
    asked for. Scores compare only with those of the same `precision` and, for `iwae`, as many
    `draws`.
    """

    alpha: float
    precision: str
    draws: int
    scores: Mapping[str, Scores]

    def p_values(self, method: str, values: Scores) -> Scores:
        """(1 + #{calibration >= value}) / (n + 1) of each value of a method: float64 (N,)."""
        known = self.scores[method]
        at_least = len(known) - np.searchsorted(known, values, side="left")
        return np.asarray((1 + at_least) / (len(known) + 1), np.float64)

    def fields(self) -> dict[str, str | float]:
        """What the manifest says beside the arrays."""
        return {"alpha": self.alpha, "precision": self.precision, "draws": self.draws}


def read(bundle: Bundle) -> Calibration | None:
    """A bundle's calibration; None where it has none. Raises `BundleError` for a damaged one."""
    arrays = bundle.arrays(FILE)
    if arrays is None:
        return None
    known = bundle.calibration
    alpha, precision, draws = (known.get(key) for key in ("alpha", "precision", "draws"))
    sorted_ = all(a.ndim == 1 and len(a) and (np.diff(a) >= 0).all() for a in arrays.values())
    if not (
        isinstance(alpha, float)
        and isinstance(precision, str)
        and isinstance(draws, int)
        and sorted_
    ):
        raise BundleError(
            f"{bundle.path / FILE}: expected sorted scores, and alpha, precision and draws in the "
            f"manifest's calibration, got {dict(known)}; calibrate again"
        )
    scores = {method: array.astype(np.float64) for method, array in arrays.items()}
    return Calibration(alpha, precision, draws, scores)


def check_alpha(alpha: float, normals: int) -> float:
    """A rate between 0 and 1 that so many normal items can tell apart from 0."""
    if not isinstance(alpha, (int, float, np.number)) or not 0 < alpha < 1:
        raise InputError(f"alpha: expected a number between 0 and 1, got {alpha!r:.60}")
    if normals < (needed := needed_for(alpha)):
        raise InputError(
            f"alpha: {alpha:g} takes at least {needed} held-out normal items, since no p-value is "
            f"below 1 / (n + 1), got {normals}: give more of them, or a larger alpha"
        )
    return float(alpha)


def needed_for(alpha: float) -> int:
    """The fewest normal items by which a p-value can be alpha or less."""
    return math.ceil(1 / alpha - 1e-9) - 1


def false_discoveries(p_values: Scores, alpha: float) -> npt.NDArray[np.bool_]:
    """Which to flag so that among the flagged at most a share alpha is normal, on average.

    Benjamini and Hochberg 1995, over all items given; p-values that share one calibration keep its
    promise (Bates et al. 2023). Among N items a single one is flagged only at p <= alpha / N, which
    takes N / alpha - 1 calibration items; k anomalies at once take a k-th of that.
    """
    order = np.sort(p_values)
    passed = np.flatnonzero(order <= alpha * np.arange(1, len(order) + 1) / max(len(order), 1))
    limit = order[passed[-1]] if len(passed) else -1.0
    return np.asarray(p_values <= limit)

"""Score items with a runner, fit statistics, and calibrate scores to p-values."""

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from edgevae import _core, bundle, checks
from edgevae.bundle import CALIBRATION_FILE, Bundle
from edgevae.data import Deviance
from edgevae.engine import Runner
from edgevae.errors import CheckError, InputError, show
from edgevae.scoring import conformal
from edgevae.scoring.conformal import Calibration
from edgevae.scoring.methods import (
    FITTED,
    MAX_ELEMENTS,
    METHODS,
    NO_NOISE,
    RECODED,
    Noise,
    ScoredBatch,
    log,
)
from edgevae.scoring.statistics import (
    H_RIDGE,
    MU_RIDGE,
    STATISTICS_FILE,
    Moments,
    Statistics,
)

# The default number of draws of `iwae`.
DRAWS = 64

# The row number at which the noise of calibration starts, far from that of the rows to be scored.
CALIBRATION_START = 1 << 63

Floats = npt.NDArray[np.float32]
Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scores:
    """The scores of N items.

    `values` float64 (N,), in the method's unit: the higher, the more anomalous. `p_values` float64
    (N,): the probability that a normal item scores at least as high. `is_anomaly` bool (N,): the
    flagged items. Both are None for a method that was not calibrated. `parts` float32
    (N, *x_shape), in nats, is the contribution of each value of x to the deviance, whatever the
    method: its negative log-likelihood at z = mu less the smallest that it could be, so 0 where
    the model reproduces the value exactly. For images it is a heat map; for vectors and signals
    it tells which features are anomalous.
    """

    values: Values
    p_values: Values | None
    is_anomaly: npt.NDArray[np.bool_] | None
    parts: Floats

    def __repr__(self) -> str:
        calibrated = self.p_values is not None
        flagged = "" if self.is_anomaly is None else f", flagged={int(self.is_anomaly.sum())}"
        return f"Scores(n={len(self.values)}, calibrated={calibrated}{flagged})"


@dataclass(frozen=True)
class Scorer:
    """A runner with the statistics and the calibration that its scores are judged by."""

    runner: Runner
    statistics: Statistics | None = None
    calibration: Calibration | None = None
    # What each batch needs of the bundle: its deviance, and how many rows bounded memory holds.
    deviance: Deviance = field(init=False, repr=False, compare=False)
    batch_rows: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        described = self.runner.bundle
        widest = max(math.prod(described.x_shape), math.prod(described.latent_shape))
        deviance = Deviance(described.likelihood, described.x_shape)
        object.__setattr__(self, "deviance", deviance)
        object.__setattr__(self, "batch_rows", max(1, MAX_ELEMENTS // widest))

    def score(
        self,
        x: Floats,
        method: str = "default",
        *,
        alpha: float | None = None,
        draws: int = DRAWS,
        seed: int = 0,
        start: int = 0,
        fdr: bool = False,
    ) -> Scores:
        """Return the scores of x, float32 (N, *x_shape), by one of METHODS.

        `alpha`, between 0 and 1, is the rate of normal items to flag; None takes that of the
        calibration. With `fdr` it is instead the mean share of normal items among the flagged
        items of this call (`conformal.false_discoveries`). `draws`, `seed` and `start` are for
        `iwae`: row i takes the noise of row start + i of the stream `seed`, so that a score does
        not depend on the batch.

        Raises `InputError` if the bundle lacks what the method needs, if the calibration is of
        another precision or number of draws, and if `alpha` or `fdr` asks for p-values of a
        method that was not calibrated. Raises `CheckError` if a score is NaN.
        """
        if type(method) is not str or method not in METHODS:
            _known([method])
        if fdr is not False:
            fdr = checks.flag(fdr, "fdr")
        calibration = self._calibration_for(method, draws, required=fdr or alpha is not None)
        if calibration is not None:
            alpha = calibration.alpha if alpha is None else alpha
            alpha = conformal.check_alpha(alpha, len(calibration.scores[method]))
        score, keep = METHODS[method], method in RECODED
        noise = _noise(draws, seed, start)
        if 0 < len(x) <= self.batch_rows:
            batch = self._batch(x, None, keep, noise)
            values, parts = score(batch), batch.parts
        else:
            parts = np.empty(x.shape, np.float32)
            each = [score(batch) for batch in self._batches(x, parts, keep, noise)]
            values = np.concatenate([np.empty(0), *each])
        _require_finite(values, self.runner)
        if calibration is None or alpha is None:
            return Scores(values, None, None, parts)
        p = calibration.p_values(method, values)
        flagged = conformal.false_discoveries(p, alpha) if fdr else np.asarray(p <= alpha)
        return Scores(values, p, flagged, parts)

    def calibrate(
        self,
        x_normal: Floats,
        alpha: float = 0.01,
        *,
        methods: Sequence[str] | None = None,
        draws: int = DRAWS,
        seed: int = 0,
    ) -> "Scorer":
        """Return a scorer whose scores by `methods` come with p-values.

        `x_normal`, float32 (N, *x_shape), are normal items that the model was not trained on.
        `methods` None takes recon, mahalanobis, default, for a VAE elbo, and for a bundle with
        activations nap: all but `iwae`, which costs `draws` decodings of each item. If there are
        no statistics and a method needs them, the first half of the items fits them and only the
        other half calibrates: pass items in random order, but windows of a stream in order of
        time. Raises `InputError`, for example for too few items for a p-value of `alpha`.
        """
        methods = self._cheap_methods() if methods is None else _known(methods)
        fitted = self.statistics
        fits = fitted is None and not FITTED.isdisjoint(methods)
        half = len(x_normal) // 2 if fits else 0
        alpha = conformal.check_alpha(alpha, len(x_normal) - half)
        if fits:
            fitted = fit(self.runner, x_normal[:half])
        scorer = Scorer(self.runner, fitted)
        values: dict[str, list[Values]] = {method: [] for method in methods}
        rows = x_normal[half:]
        for batch in scorer._batches(rows, noise=_noise(draws, seed, CALIBRATION_START)):
            for method in methods:
                values[method].append(METHODS[method](batch))
        scores = {method: np.sort(np.concatenate(parts)) for method, parts in values.items()}
        for each in scores.values():
            _require_finite(each, self.runner)
        calibration = Calibration(alpha, self.runner.precision, draws, scores)
        return Scorer(self.runner, fitted, calibration)

    def _batches(
        self,
        x: Floats,
        parts: Floats | None = None,
        keep_x_hat: bool = True,
        noise: Noise = NO_NOISE,
    ) -> Iterator[ScoredBatch]:
        """Yield the rows of x, encoded and decoded, as many at a time as bounded memory holds.

        `parts` is an array of x's shape for the deviance of each value; None takes new ones.
        Without `keep_x_hat` the deviance takes the memory of x_hat.
        """
        step = self.batch_rows
        for i in range(0, len(x), step):
            rows = x[i : i + step]
            out = None if parts is None else parts[i : i + step]
            first = (noise.start + i) & checks.LAST
            yield self._batch(rows, out, keep_x_hat, noise._replace(start=first))

    def _batch(
        self, x: Floats, parts: Floats | None, keep_x_hat: bool, noise: Noise
    ) -> ScoredBatch:
        """Return some rows, encoded and decoded, as `_batches` does."""
        runner = self.runner
        if runner.bundle.classes:
            raise InputError(
                f"bundle {runner.bundle.name!r} has a conditional decoder, which needs the class "
                f"of each item, and scores do not know it: score with a model trained without "
                f"classes"
            )
        posterior = runner.encode(x)
        if parts is None or keep_x_hat:
            x_hat = runner.decode(posterior.mu)
        else:
            x_hat = parts
            _decode_into(runner, posterior.mu, x_hat)
        if parts is None:
            parts = np.empty_like(x_hat) if keep_x_hat else x_hat
        deviance, recon = self.deviance.fill(x, x_hat, parts)
        kept = x_hat if keep_x_hat else None
        return ScoredBatch(
            runner, self.statistics, x, posterior, kept, parts, deviance, recon, noise
        )

    def save(self, path: str | os.PathLike[str]) -> Bundle:
        """Write a copy of the runner's bundle with the statistics and the calibration.

        `path` is as in `bundle.write`, or the bundle's own.
        """
        arrays: dict[str, Mapping[str, npt.ArrayLike]] = {}
        fields = {}
        if self.statistics is not None:
            arrays[STATISTICS_FILE] = self.statistics.arrays()
        if self.calibration is not None:
            arrays[CALIBRATION_FILE] = self.calibration.scores
            fields["calibration"] = self.calibration.fields()
        return bundle.extend(self.runner.bundle, path, arrays=arrays, fields=fields)

    def _cheap_methods(self) -> list[str]:
        """Return the methods that cost one or two reconstructions of each item."""
        described = self.runner.bundle
        methods = ["default", "recon", "mahalanobis"]
        if described.model == "vae":
            methods.append("elbo")
        if self.statistics is None:
            has_activations = "activations" in described.roles
        else:
            has_activations = self.statistics.h is not None
        if has_activations:
            methods.append("nap")
        return methods

    def _calibration_for(self, method: str, draws: int, required: bool) -> Calibration | None:
        """Return the calibration of a method; None if it has none and none is `required`.

        Raises `InputError` if it is required and missing, or if its scores are not comparable.
        """
        known, name = self.calibration, self.runner.bundle.name
        if known is None or method not in known.scores:
            if required:
                has = f"has one of {', '.join(known.scores)}" if known else "has none"
                raise InputError(
                    f"alpha, fdr: {method} is not calibrated (bundle {name!r} {has}): `edgevae "
                    f"calibrate`, or vae.calibrate, calibrates it by held-out normal items"
                )
            return None
        if known.precision != self.runner.precision:
            raise InputError(
                f"bundle {name!r} was calibrated in {known.precision}, which scores in "
                f"{self.runner.precision} cannot be compared with: load it with "
                f"precision={known.precision!r}, or calibrate it again in {self.runner.precision}"
            )
        if method == "iwae" and known.draws != draws:
            raise InputError(
                f"draws: iwae was calibrated with {known.draws} draws, which scores by {draws} "
                f"cannot be compared with: pass draws={known.draws}, or calibrate again"
            )
        return known


def fit(runner: Runner, x_train: Floats) -> Statistics:
    """Return the statistics of the training items that `mahalanobis`, `default` and `nap` need.

    `x_train` is float32 (N, *x_shape), N from 2, and should be ten times the number of latent
    dimensions or more. It is read in batches. Memory holds a matrix (H, H) of float64 for `nap`
    if the bundle has activations. Raises `InputError`.
    """
    if len(x_train) < 2:
        raise InputError(f"x_train: expected at least 2 items, got {len(x_train)}")
    h_moments = Moments() if "activations" in runner.bundle.roles else None
    mu_moments, mus, deviances = Moments(), [], []
    for batch in Scorer(runner)._batches(x_train):
        if not _core.is_finite(np.ascontiguousarray(batch.mu)):
            raise _no_numbers(runner)
        _require_finite(batch.deviance, runner)
        mu_moments.add(batch.mu)
        mus.append(batch.mu)
        deviances.append(batch.deviance)
        if h_moments is not None:
            h_moments.add(batch.h_difference())
    mu = mu_moments.whitening(MU_RIDGE)
    distances = mu.distance(np.concatenate(mus))
    logs = np.stack([log(np.concatenate(deviances)), log(distances)], axis=1)
    return Statistics(
        mu=mu,
        location=logs.mean(0).astype(np.float32),
        scale=np.maximum(logs.std(0), 1e-6).astype(np.float32),
        h=None if h_moments is None else h_moments.whitening(H_RIDGE),
    )


def _no_numbers(runner: Runner) -> CheckError:
    return CheckError(
        f"bundle {runner.bundle.name!r}: expected scores that are numbers, got NaN, which its "
        f"graphs computed on {runner.provider}: `edgevae verify` shows which graph is wrong"
    )


def _noise(draws: int, seed: int, start: int) -> Noise:
    """Return the noise of `iwae` by arguments that are checked."""
    return Noise(
        checks.integer(draws, "draws", least=1, most=checks.LAST_DRAW),
        checks.seed(seed),
        checks.start(start),
    )


def _require_finite(values: Values, runner: Runner) -> None:
    """Raise `CheckError` for a score that is NaN, `InputError` for an infinite one."""
    # One value, as most callers have it, costs a tenth of what numpy takes for it.
    finite = math.isfinite(values.item()) if len(values) == 1 else np.isfinite(values).all()
    if not finite:
        if np.isnan(values).any():
            raise _no_numbers(runner)
        row = int(np.isfinite(values).argmin())
        raise InputError(
            f"x: expected items with finite scores, got {values[row]:g} for row {row}: its values "
            f"are too large for float32; leave it out, or scale the data"
        )


def _decode_into(runner: Runner, z: Floats, x_hat: Floats) -> None:
    runner.decode_into(lambda first, last: z[first:last], x_hat)


def _known(methods: Sequence[str]) -> list[str]:
    """Return the methods without repetitions. Raises `InputError` for an unknown one."""
    if not isinstance(methods, (list, tuple)):
        raise InputError(f"methods: expected a list of {', '.join(METHODS)}, got {show(methods)}")
    return list(dict.fromkeys(checks.choice(method, "method", METHODS) for method in methods))

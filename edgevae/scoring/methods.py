"""How far from normal an item is, by what a VAE makes of it: the higher, the stranger.

    recon        -log p(x|z) at z = mu, in nats
    elbo         that and KL(q(z|x) || N(0, I)), in nats
    iwae         -log mean_k p(x|z_k) p(z_k) / q(z_k|x), in nats
    mahalanobis  the distance of mu from those of the training items, in standard deviations (*)
    default      log deviance + log mahalanobis, each standardised (*)
    nap          log deviance + the log of the squared distance of h(x) - h(x_hat) from the training
                 items' (*), where the bundle has the encoder's activations h
    (*) where the bundle has statistics of the training items

What each is, and who found it, stands in its function below. `fit` makes the statistics, of the
items that the model was trained on; `calibrate` turns scores into p-values, of normal items that
it was not (`edgevae.scoring.conformal` says when these hold).
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from edgevae import bundle, checks
from edgevae.bundle import Bundle
from edgevae.data import likelihood
from edgevae.errors import BundleError, InputError
from edgevae.latents.posterior import Posterior
from edgevae.sampling import MixtureTable
from edgevae.scoring import conformal
from edgevae.scoring.conformal import Calibration

FILE = "statistics.npz"
DRAWS = 64

# Numbers in one array of what is in flight: 4 MB of float32.
_BUDGET = 1 << 20
# Added to the variances of mu, as a share of their mean: what a unit that training left asleep does
# for an anomaly counts, but not for a hundred times what one that is awake does.
_RIDGE = 1e-4
# The same for h(x) - h(x_hat), most of whose directions hardly vary and tell little: judged by
# held-out training images of Fashion-MNIST, as was all of `nap`
# (see train/experiments/anomalies.py).
_NAP_RIDGE = 1e-3
_TINY = 1e-30  # whose log is finite
# Where calibration takes the noise of its rows, apart from that of the rows that are judged by it.
_APART = 1 << 63

Floats = npt.NDArray[np.float32]
Values = npt.NDArray[np.float64]


class Model(Protocol):
    """What scores need of a VAE."""

    @property
    def bundle(self) -> Bundle: ...
    @property
    def precision(self) -> str: ...
    @property
    def prior(self) -> MixtureTable | None: ...
    @property
    def statistics(self) -> "Statistics | None": ...
    @property
    def calibration(self) -> Calibration | None: ...
    def encode(self, x: Floats, /) -> Posterior: ...
    def decode(self, z: Floats, /) -> Floats: ...
    def activations(self, x: Floats, /) -> Floats: ...


@dataclass(frozen=True)
class Scores:
    """Of N items: `values` float64 (N,), in the method's unit, the higher the stranger.

    `p_values` float64 (N,): how likely a normal item is to score so high; `is_anomaly` bool (N,):
    those that are flagged. Both are None where the method was not calibrated. `parts` float32
    (N, *x_shape): what each value of x adds to the deviance, in nats, whatever the method: its
    negative log-likelihood at z = mu less the least that this value can have, so 0 where the model
    reproduces it exactly. Of images that is a heat map, of vectors and signals it tells which
    features are strange.
    """

    values: Values
    p_values: Values | None
    is_anomaly: npt.NDArray[np.bool_] | None
    parts: Floats


class Whitening(NamedTuple):
    """Where rows of D numbers lie: `mean` (D,), and `matrix` (D, K) to whiten what is left.

    float32. (row - mean) @ matrix has the covariance 1 in each of K directions.
    """

    mean: Floats
    matrix: Floats

    def distance(self, rows: Floats) -> Values:
        """Of each row from the mean, in standard deviations: float64 (N,)."""
        offset = (rows - self.mean).astype(np.float64) @ self.matrix
        return np.asarray(np.linalg.norm(offset, axis=1), np.float64)


class Statistics(NamedTuple):
    """What `fit` saw of the training items.

    `mu` whitens their mu, `h` their h(x) - h(x_hat) where the bundle has activations. `location`
    and `scale`, float32 (2,), are the mean and standard deviation of log deviance and of log
    mahalanobis.
    """

    mu: Whitening
    location: Floats
    scale: Floats
    h: Whitening | None

    def arrays(self) -> dict[str, Floats]:
        """As statistics.npz holds them."""
        given = {"mu": self.mu, "h": self.h}
        parts = {f"{k}_{f}": a for k, w in given.items() if w for f, a in w._asdict().items()}
        return {"location": self.location, "scale": self.scale, **parts}


def score(
    vae: Model,
    x: Floats,
    method: str = "default",
    *,
    alpha: float | None = None,
    draws: int = DRAWS,
    seed: int = 0,
    start: int = 0,
    fdr: bool = False,
) -> Scores:
    """Scores of x, float32 (N, *x_shape), by one of METHODS.

    `alpha`, between 0 and 1, is the rate of normal items to flag; None takes the calibration's.
    With `fdr` it is instead the share of normal items among the flagged of this call, on average
    (`conformal.false_discoveries`). `draws`, `seed` and `start` are of `iwae`: row i takes the
    noise of row start + i of the stream `seed`, so a score does not depend on the batch.

    Raises `InputError` where the bundle lacks what the method needs, where the calibration is of
    another precision or number of draws, and where `alpha` or `fdr` asks for p-values of a method
    that was not calibrated.
    """
    (method,) = _known([method])
    calibration = _comparable(vae, method, draws, asked=fdr or alpha is not None)
    if calibration is not None:
        alpha = calibration.alpha if alpha is None else alpha
        alpha = conformal.check_alpha(alpha, len(calibration.scores[method]))
    values, parts = np.empty(len(x)), np.empty(x.shape, np.float32)
    for seen in _stretches(vae, x, vae.statistics, draws=draws, seed=seed, start=start):
        values[seen.rows] = METHODS[method](seen)
        parts[seen.rows] = seen.deviance
    if calibration is None or alpha is None:
        return Scores(values, None, None, parts)
    p = calibration.p_values(method, values)
    flagged = conformal.false_discoveries(p, alpha) if fdr else np.asarray(p <= alpha)
    return Scores(values, p, flagged, parts)


# --- the methods -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Seen:
    """Rows of the items to score, with what the VAE made of them."""

    vae: Model
    fitted: Statistics | None
    rows: slice
    x: Floats
    draws: int
    seed: int
    start: int  # the number of the first of these rows

    @cached_property
    def posterior(self) -> Posterior:
        return self.vae.encode(self.x)

    @cached_property
    def mu(self) -> Floats:
        """(n, D)"""
        return self.posterior.mu.reshape(len(self.x), -1)

    @cached_property
    def x_hat(self) -> Floats:
        """At z = mu."""
        return self.vae.decode(self.posterior.mu)

    @cached_property
    def deviance(self) -> Values:
        """Of each value of x at z = mu, in nats."""
        return likelihood.deviance(self.x, self.x_hat, self.vae.bundle.likelihood)

    @cached_property
    def h_difference(self) -> Floats:
        """h(x) - h(x_hat), (n, H)."""
        return self.vae.activations(self.x) - self.vae.activations(self.x_hat)

    @property
    def statistics(self) -> Statistics:
        """Those of the training items, or `InputError`."""
        if self.fitted is None:
            raise InputError(
                f"bundle {self.vae.bundle.name!r} has no statistics of its training items, which "
                f"this method needs: `edgevae calibrate`, or vae.calibrate, fits them on normal "
                f"items; recon, elbo and iwae need none"
            )
        return self.fitted


def recon(seen: Seen) -> Values:
    """-log p(x|z) at z = mu, in nats: the reconstruction error under the bundle's likelihood.

    For a Gaussian the squared error in units of its sigma, halved, and a constant. (An and Cho
    2015, with one z.)
    """
    return likelihood.recon(seen.x, seen.x_hat, seen.vae.bundle.likelihood)


def elbo(seen: Seen) -> Values:
    """The negative evidence lower bound, in nats: recon + KL(q(z|x) || N(0, I)).

    The bound's expectation over z is taken at z = mu, which leaves no noise in the score, but is
    no bound. (Kingma and Welling 2014.)
    """
    _check_posterior(seen, "elbo")
    return recon(seen) + seen.posterior.kl()


def iwae(seen: Seen) -> Values:
    """The negative importance-weighted bound, in nats, which falls to -log p(x) as draws grow.

    -log mean_k p(x|z_k) p(z_k) / q(z_k|x), z_k ~ q(z|x), K = draws, p(z) the prior that generation
    draws from. It costs K decodings. (Burda et al. 2016, equation 8.)
    """
    _check_posterior(seen, "iwae")
    prior = seen.vae.prior
    width = max(seen.mu.shape[1], 0 if prior is None else prior.components)
    step = max(1, _BUDGET // (seen.draws * width))
    parts = [_iwae(seen, slice(i, i + step)) for i in range(0, len(seen.x), step)]
    return np.concatenate(parts) if parts else np.empty(0)


def mahalanobis(seen: Seen) -> Values:
    """The distance of mu from the mean of the training items' mu, in standard deviations.

    sqrt((mu - m)' (S + r I)^-1 (mu - m)), S their covariance, r 1e-4 of its mean variance.
    (Mahalanobis 1936; of latents Denouden et al. 2018.)
    """
    return seen.statistics.mu.distance(seen.mu)


def default(seen: Seen) -> Values:
    """The sum of log deviance and log mahalanobis, each in standard deviations from its mean.

    ((log v - location) / scale) of both, by the training items' location and scale: what cannot
    be reproduced is as strange as what is encoded where nothing was. The deviance is recon less
    the least it could be for that x. (Denouden et al. 2018 add the two, without logs.)
    """
    statistics = seen.statistics
    logs = _logs(likelihood.per_item(seen.deviance), mahalanobis(seen))
    return np.asarray(((logs - statistics.location) / statistics.scale).sum(1), np.float64)


def nap(seen: Seen) -> Values:
    """Normalised aggregation along the pathway (after RaPP, Kim et al. 2020).

    log deviance + 2 log |W' (d - m)|, d = h(x) - h(x_hat) the difference of the encoder's hidden
    activations, m its mean and W its whitening over the training items, whose covariance gets a
    ridge: 1e-3 of its mean variance in each direction, where RaPP has none. RaPP whitens the
    input's own difference x - x_hat together with those of the layers; here that is a factor by
    itself, since most of an image's directions are noise, which would outvote the layers, and
    since no whitening of so many needs to be carried.
    """
    d = seen.h_difference
    statistics = seen.statistics
    if statistics.h is None:
        raise InputError(
            f"bundle {seen.vae.bundle.name!r} has statistics without activations, which nap needs: "
            f"fit them again, by `score.fit` or `python -m train export`"
        )
    return np.asarray(
        _logs(likelihood.per_item(seen.deviance), statistics.h.distance(d)) @ (1.0, 2.0), np.float64
    )


METHODS: Mapping[str, Callable[[Seen], Values]] = MappingProxyType(
    {method.__name__: method for method in (default, recon, elbo, iwae, mahalanobis, nap)}
)
FITTED = frozenset({"default", "mahalanobis", "nap"})  # those that need statistics


def _check_posterior(seen: Seen, method: str) -> None:
    if seen.vae.bundle.model == "autoencoder":
        raise InputError(
            f"bundle {seen.vae.bundle.name!r} is an autoencoder, which has neither the posterior "
            f"nor the prior that {method} compares: use recon, mahalanobis, default or nap"
        )


def _iwae(seen: Seen, rows: slice) -> Values:
    """`iwae` of some of the rows, whose latents are all drawn at once."""
    x = seen.x[rows]
    q = Posterior(seen.posterior.mu[rows], seen.posterior.logvar[rows])
    z = q.sample(seen.draws, seed=seen.seed, start=(seen.start + rows.start) & checks.LAST)
    z = z.reshape(seen.draws * len(x), *q.mu.shape[1:])
    which = np.tile(np.arange(len(x)), seen.draws)
    recon = np.empty(len(z))
    step = max(1, _BUDGET // x[0].size)
    for i in range(0, len(z), step):
        part = slice(i, i + step)
        x_hat = seen.vae.decode(z[part])
        recon[part] = likelihood.recon(x[which[part]], x_hat, seen.vae.bundle.likelihood)
    shape = seen.draws, len(x), -1
    log_weights = _log_prior_to_posterior(seen.vae.prior, q, z.reshape(shape))
    log_weights -= recon.reshape(shape[:2])
    return np.asarray(np.log(seen.draws) - np.logaddexp.reduce(log_weights, axis=0), np.float64)


def _log_prior_to_posterior(prior: MixtureTable | None, q: Posterior, z: Floats) -> Values:
    """log p(z) - log q(z|x) of latents (K, n, D), for n posteriors: (K, n)."""
    mu, logvar = (a.reshape(len(a), -1).astype(np.float64) for a in (q.mu, q.logvar))
    wide = z.astype(np.float64)
    half = ((wide - mu) ** 2 / np.exp(logvar) + logvar).sum(2) / 2
    if prior is None:
        return np.asarray(half - (wide**2).sum(2) / 2, np.float64)
    density = np.stack([prior.log_density(row) for row in z])
    return np.asarray(density + half + z.shape[2] * np.log(2 * np.pi) / 2, np.float64)


def _logs(deviance: Values, distance: Values) -> Values:
    """Those of both (n,): (n, 2)."""
    return np.log(np.maximum(np.stack([deviance, distance], axis=1), _TINY))


def _stretches(
    vae: Model,
    x: Floats,
    statistics: Statistics | None,
    *,
    draws: int = DRAWS,
    seed: int = 0,
    start: int = 0,
) -> Iterator[Seen]:
    """The rows of x, as many at a time as bounded memory holds."""
    draws, seed = checks.whole(draws, "draws", least=1), checks.seed(seed)
    start = checks.start(start)
    if vae.bundle.classes:
        raise InputError(
            f"bundle {vae.bundle.name!r} is told the class of what it decodes, which scores do not "
            f"know: score by one that was trained without classes"
        )
    shapes = vae.bundle.x_shape, vae.bundle.latent_shape
    step = max(1, _BUDGET // max(int(np.prod(shape)) for shape in shapes))
    for i in range(0, len(x), step):
        rows = slice(i, min(i + step, len(x)))
        yield Seen(vae, statistics, rows, x[rows], draws, seed, (start + i) & checks.LAST)


# --- what training items and normal items tell ------------------------------------------------


def fit(vae: Model, x_train: Floats) -> Statistics:
    """What `mahalanobis`, `default` and `nap` need to know of the training items.

    x_train is float32 (N, *x_shape), N from 2, and should be ten times the latent's numbers or
    more. It is read in batches, and memory holds a matrix (H, H) of float64 for `nap`, where the
    bundle has activations. Raises `InputError`.
    """
    if len(x_train) < 2:
        raise InputError(f"x_train: expected at least 2 items, got {len(x_train)}")
    of_h = _Moments() if "activations" in vae.bundle.roles else None
    of_mu, mus, deviances = _Moments(), [], []
    for seen in _stretches(vae, x_train, None):
        of_mu.add(seen.mu)
        mus.append(seen.mu)
        deviances.append(likelihood.per_item(seen.deviance))
        if of_h is not None:
            of_h.add(seen.h_difference)
    mu = of_mu.whitening(_RIDGE)
    logs = _logs(np.concatenate(deviances), mu.distance(np.concatenate(mus)))
    return Statistics(
        mu=mu,
        location=logs.mean(0).astype(np.float32),
        scale=np.maximum(logs.std(0), 1e-6).astype(np.float32),
        h=None if of_h is None else of_h.whitening(_NAP_RIDGE),
    )


def calibrate(
    vae: Model,
    x_normal: Floats,
    alpha: float = 0.01,
    *,
    methods: Sequence[str] | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> tuple[Statistics | None, Calibration]:
    """Statistics and a calibration of so many methods, by normal items float32 (N, *x_shape).

    None takes recon, mahalanobis, default, elbo of a VAE, and nap where the bundle has activations:
    all but `iwae`, which costs `draws` decodings an item. The items must be none that the model
    was trained on. Where the bundle has no statistics and a method needs them, the first half of
    the items fits them and only the other half calibrates: give items in random order, windows of
    a stream in time's. Raises `InputError`, such as where there are too few for a p-value of
    `alpha`.
    """
    methods, statistics = _cheap(vae) if methods is None else _known(methods), vae.statistics
    fits = statistics is None and not FITTED.isdisjoint(methods)
    half = len(x_normal) // 2 if fits else 0
    alpha = conformal.check_alpha(alpha, len(x_normal) - half)
    if fits:
        statistics = fit(vae, x_normal[:half])
    found: dict[str, list[Values]] = {method: [] for method in methods}
    stretches = _stretches(vae, x_normal[half:], statistics, draws=draws, seed=seed, start=_APART)
    for seen in stretches:
        for method in methods:
            found[method].append(METHODS[method](seen))
    scores = {method: np.sort(np.concatenate(values)) for method, values in found.items()}
    return statistics, Calibration(alpha, vae.precision, draws, scores)


def read(bundle: Bundle) -> Statistics | None:
    """A bundle's statistics; None where it has none. Raises `BundleError` for damaged ones."""
    arrays = bundle.arrays(FILE)
    if arrays is None:
        return None
    given = {key: array.astype(np.float32) for key, array in arrays.items()}

    def whitening(name: str) -> Whitening:
        mean, matrix = given[f"{name}_mean"], given[f"{name}_matrix"]
        if mean.ndim != 1 or matrix.ndim != 2 or len(matrix) != len(mean):
            raise ValueError(f"{name}_mean {mean.shape}, {name}_matrix {matrix.shape}")
        return Whitening(mean, matrix)

    try:
        statistics = Statistics(
            mu=whitening("mu"),
            location=given["location"],
            scale=given["scale"],
            h=whitening("h") if "h_mean" in given else None,
        )
        if len(statistics.mu.mean) != bundle.dims:
            raise ValueError(f"mu_mean of {len(statistics.mu.mean)}")
        if statistics.location.shape != (2,) or statistics.scale.shape != (2,):
            raise ValueError("location and scale of other shapes")
    except (KeyError, ValueError) as error:
        raise BundleError(
            f"{bundle.path / FILE}: expected the statistics of {bundle.dims} latent dimensions, "
            f"got {error}; fit them again"
        ) from error
    return statistics


def write(vae: Model, path: str | os.PathLike[str]) -> Bundle:
    """Writes a copy of a VAE's bundle with its statistics and its calibration.

    `path` is as in `bundle.write`, or the bundle's own.
    """
    statistics, calibration = vae.statistics, vae.calibration
    arrays: dict[str, Mapping[str, npt.ArrayLike]] = {}
    fields = {}
    if statistics is not None:
        arrays[FILE] = statistics.arrays()
    if calibration is not None:
        arrays[conformal.FILE] = calibration.scores
        fields["calibration"] = calibration.fields()
    return bundle.extend(vae.bundle, path, arrays=arrays, fields=fields)


def _cheap(vae: Model) -> list[str]:
    """The methods that can be had at the cost of a reconstruction or two."""
    has_h = vae.statistics.h is not None if vae.statistics else "activations" in vae.bundle.roles
    elbo = ["elbo"] * (vae.bundle.model == "vae")
    return ["default", "recon", "mahalanobis", *elbo, *["nap"] * has_h]


def _known(methods: Sequence[str]) -> list[str]:
    for method in methods:
        if method not in METHODS:
            raise InputError(f"method: expected {', '.join(METHODS)}, got {method!r:.60}")
    return list(dict.fromkeys(methods))


def _comparable(vae: Model, method: str, draws: int, asked: bool) -> Calibration | None:
    """The calibration that says what such scores mean; None where nobody asked, and none does."""
    known = vae.calibration
    if known is None or method not in known.scores:
        if asked:
            has = f"has one of {', '.join(known.scores)}" if known else "has none"
            raise InputError(
                f"alpha, fdr: {method} is not calibrated (bundle {vae.bundle.name!r} {has}): "
                f"`edgevae calibrate`, or vae.calibrate, does so by held-out normal items"
            )
        return None
    if known.precision != vae.precision:
        raise InputError(
            f"bundle {vae.bundle.name!r} was calibrated in {known.precision}, and scores in "
            f"{vae.precision} are others: load it with precision={known.precision!r}, or calibrate "
            f"it again in {vae.precision}"
        )
    if method == "iwae" and known.draws != draws:
        raise InputError(
            f"draws: iwae was calibrated with {known.draws}, and scores by {draws} are others: "
            f"take as many, or calibrate again"
        )
    return known


class _Moments:
    """The mean and the covariance of rows that come in batches."""

    def __init__(self) -> None:
        self._n = 0
        self._sum: Any = 0.0
        self._products: Any = 0.0

    def add(self, rows: Floats) -> None:
        wide = rows.astype(np.float64)
        self._n += len(rows)
        self._sum = self._sum + wide.sum(0)
        self._products = self._products + wide.T @ wide

    def whitening(self, ridge: float) -> Whitening:
        """In all directions; `ridge`, a share of the mean variance, is added to each variance."""
        mean = self._sum / self._n
        variance, directions = np.linalg.eigh(self._products / self._n - np.outer(mean, mean))
        scale = np.sqrt(np.maximum(variance, 0) + ridge * variance.mean())
        return Whitening(mean.astype(np.float32), (directions / scale).astype(np.float32))

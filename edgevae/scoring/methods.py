"""The methods of scoring a batch of items; each function states its formula and its source."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edgevae import checks
from edgevae.bundle import Bundle
from edgevae.data import likelihood
from edgevae.engine import Runner
from edgevae.errors import InputError
from edgevae.latents import Posterior
from edgevae.sampling import MixtureTable
from edgevae.scoring.statistics import Statistics

# The largest number of elements in one array of the rows in flight: 4 MB of float32.
MAX_ELEMENTS = 1 << 20
# A stand-in for zero, whose logarithm is finite.
SMALLEST = 1e-30

Floats = npt.NDArray[np.float32]
Values = npt.NDArray[np.float64]


class Noise(NamedTuple):
    """The noise that `iwae` draws latents with.

    Each row has `draws` latents. The first row takes the noise of row `start` of the stream `seed`.
    """

    draws: int
    seed: int
    start: int


NO_NOISE = Noise(draws=1, seed=0, start=0)  # for the other methods


@dataclass(slots=True)
class ScoredBatch:
    """Some rows of the items to score, encoded and decoded.

    `x`, `x_hat` and `parts` are float32 (n, *x_shape). x_hat is decoded from z = mu, and is None if
    only methods that are not in RECODED follow; `parts` is the deviance of each value. `deviance`
    and `recon`, float64 (n,), are what `Deviance.fill` returns.
    """

    runner: Runner
    statistics: Statistics | None
    x: Floats
    posterior: Posterior
    x_hat: Floats | None
    parts: Floats
    deviance: Values
    recon: Values
    noise: Noise

    @property
    def bundle(self) -> Bundle:
        return self.runner.bundle

    @property
    def mu(self) -> Floats:
        """The posterior means with a flat latent: float32 (n, D)."""
        return self.posterior.mu.reshape(len(self.x), -1)

    def h_difference(self) -> Floats:
        """Return h(x) - h(x_hat), the difference of the encoder's activations: (n, H)."""
        assert self.x_hat is not None
        return self.runner.activations(self.x) - self.runner.activations(self.x_hat)

    def fitted(self) -> Statistics:
        """Return the statistics of the training items. Raises `InputError` without them."""
        if self.statistics is None:
            raise InputError(
                f"bundle {self.bundle.name!r} has no statistics of its training items, which "
                f"this method needs: `edgevae calibrate`, or vae.calibrate, fits them on normal "
                f"items; recon, elbo and iwae need none"
            )
        return self.statistics


def recon(batch: ScoredBatch) -> Values:
    """Return -log p(x|z) at z = mu, in nats: the reconstruction error under the likelihood.

    For a Gaussian that is the squared error in units of its sigma, halved, plus a constant.
    (An and Cho 2015, with one z.)
    """
    return batch.recon


def elbo(batch: ScoredBatch) -> Values:
    """Return the negative evidence lower bound, in nats: recon + KL(q(z|x) || N(0, I)).

    The expectation over z is replaced by z = mu, which leaves no noise in the score, but makes it
    no bound. (Kingma and Welling 2014.)
    """
    check_posterior(batch.bundle, "elbo")
    return recon(batch) + batch.posterior.kl()


def iwae(batch: ScoredBatch) -> Values:
    """Return the negative importance-weighted bound, in nats.

    -log mean_k p(x|z_k) p(z_k) / q(z_k|x), z_k ~ q(z|x), K = draws, with the prior p(z) that
    generation draws from. It falls to -log p(x) as K grows, and costs K decodings of each item.
    (Burda et al. 2016, equation 8.)
    """
    check_posterior(batch.bundle, "iwae")
    mixture = batch.runner.prior.mixture
    width = max(batch.mu.shape[1], 0 if mixture is None else mixture.components)
    step = max(1, MAX_ELEMENTS // (batch.noise.draws * width))
    parts = [_iwae(batch, slice(i, i + step)) for i in range(0, len(batch.x), step)]
    return np.concatenate(parts) if parts else np.empty(0)


def mahalanobis(batch: ScoredBatch) -> Values:
    """Return the distance of mu from the training items' mean mu, in standard deviations.

    sqrt((mu - m)' (S + r I)^-1 (mu - m)), with their mean m, their covariance S, and r 1e-4 of its
    mean variance. (Mahalanobis 1936; for latents Denouden et al. 2018.)
    """
    return batch.fitted().mu.distance(batch.mu)


def default(batch: ScoredBatch) -> Values:
    """Return the sum of the log deviance and the log Mahalanobis distance, each standardised.

    (log v - location) / scale is computed for both, with the training items' location and scale:
    an item that cannot be reproduced is as anomalous as one that is encoded far from all others.
    The deviance is recon less its smallest possible value for that x. (Denouden et al. 2018 add
    the two without logarithms.)
    """
    statistics = batch.fitted()
    (location, other), (scale, other_scale) = statistics.location, statistics.scale
    return np.asarray(
        (log(batch.deviance) - location) / scale + (log(mahalanobis(batch)) - other) / other_scale,
        np.float64,
    )


def nap(batch: ScoredBatch) -> Values:
    """Return the normalised aggregation along the pathway (after RaPP, Kim et al. 2020).

    log deviance + 2 log |W' (d - m)|, where d = h(x) - h(x_hat) is the difference of the encoder's
    hidden activations, and m its mean and W its whitening over the training items. The covariance
    gets a ridge of 1e-3 of its mean variance, where RaPP has none. RaPP whitens the input's own
    difference x - x_hat together with those of the layers. Here it is a factor by itself: most of
    an image's directions are noise, which would outweigh the layers, and no whitening of so many
    directions needs to be stored.
    """
    d = batch.h_difference()
    h = batch.fitted().h
    if h is None:
        raise InputError(
            f"bundle {batch.bundle.name!r} has statistics without activations, which nap needs: "
            f"fit them again, by `edgevae.scoring.fit` or `python -m train export`"
        )
    return log(batch.deviance) + 2 * log(h.distance(d))


METHODS: Mapping[str, Callable[[ScoredBatch], Values]] = MappingProxyType(
    {method.__name__: method for method in (default, recon, elbo, iwae, mahalanobis, nap)}
)
FITTED = frozenset({"default", "mahalanobis", "nap"})  # the methods that need statistics
RECODED = frozenset({"nap"})  # the methods that encode x_hat


def check_posterior(bundle: Bundle, method: str) -> None:
    """Raise `InputError` if the bundle has no posterior, as an autoencoder has none."""
    if bundle.model == "autoencoder":
        raise InputError(
            f"bundle {bundle.name!r} is an autoencoder, which has neither the posterior "
            f"nor the prior that {method} compares: use recon, mahalanobis, default or nap"
        )


def log(values: Values) -> Values:
    """Return the logarithms of values (n,), bounded from below."""
    return np.asarray(np.log(np.maximum(values, SMALLEST)), np.float64)


def _iwae(batch: ScoredBatch, rows: slice) -> Values:
    """Return `iwae` of some of the batch's rows, drawing all of their latents at once."""
    x = batch.x[rows]
    q = Posterior(batch.posterior.mu[rows], batch.posterior.logvar[rows])
    z = q.sample(
        batch.noise.draws,
        seed=batch.noise.seed,
        start=(batch.noise.start + rows.start) & checks.LAST,
    )
    z = z.reshape(batch.noise.draws * len(x), *q.mu.shape[1:])
    item = np.tile(np.arange(len(x)), batch.noise.draws)
    recon = np.empty(len(z))
    step = max(1, MAX_ELEMENTS // x[0].size)
    for i in range(0, len(z), step):
        part = slice(i, i + step)
        x_hat = batch.runner.decode(z[part])
        recon[part] = likelihood.recon(x[item[part]], x_hat, batch.bundle.likelihood)
    shape = batch.noise.draws, len(x), -1
    log_weights = _log_prior_over_posterior(batch.runner.prior.mixture, q, z.reshape(shape))
    log_weights -= recon.reshape(shape[:2])
    return np.asarray(
        np.log(batch.noise.draws) - np.logaddexp.reduce(log_weights, axis=0), np.float64
    )


def _log_prior_over_posterior(mixture: MixtureTable | None, q: Posterior, z: Floats) -> Values:
    """Return log p(z) - log q(z|x) of K latents for each of n posteriors (K, n, D): (K, n)."""
    mu, logvar = (a.reshape(len(a), -1).astype(np.float64) for a in (q.mu, q.logvar))
    wide = z.astype(np.float64)
    half = ((wide - mu) ** 2 / np.exp(logvar) + logvar).sum(2) / 2
    if mixture is None:
        return np.asarray(half - (wide**2).sum(2) / 2, np.float64)
    density = np.stack([mixture.log_density(row) for row in z])
    return np.asarray(density + half + z.shape[2] * np.log(2 * np.pi) / 2, np.float64)

"""Pictures of a latent space, drawn by matplotlib, which the extra `plot` installs.

scatter    the posterior means of a data set, in a plane
prior      latents of the prior beside latents of the data set
units      the KL divergence of each dimension of the latent
manifold   the items that a decoder of two dimensions returns, over the whole plane
"""

from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from edgevae.data import Image
from edgevae.errors import InputError
from edgevae.latents import Posterior

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from edgevae.vae import VAE

Floats = npt.NDArray[np.float32]

ACTIVE_VARIANCE = 0.01  # of mu over a data set: a unit above it is active (Burda et al. 2016)
_INK, _QUIET, _ACCENT = "#222222", "#9a9a9a", "#3b6fb6"
_MARGIN = 0.05  # around the points, as a share of their extent


class Plane:
    """The plane in latent space in which a data set's mu (N, *latent_shape) varies most.

    It is spanned by the first two principal components. Latents of one or two dimensions are shown
    as they are.
    """

    def __init__(self, mu: Floats) -> None:
        flat = _flat(mu).astype(np.float64)
        self.exact = flat.shape[1] <= 2
        self.centre = np.zeros(flat.shape[1]) if self.exact else flat.mean(0)
        self.axes, self.shares = np.eye(flat.shape[1])[:2], np.ones(2)
        if not self.exact:
            values, vectors = np.linalg.eigh(np.cov(flat.T))
            self.axes, self.shares = vectors[:, :-3:-1].T, values[:-3:-1] / values.sum()

    def project(self, z: Floats) -> npt.NDArray[np.float64]:
        """Return the coordinates of latents (N, *latent_shape) in the plane, (N, 2)."""
        places = (_flat(z) - self.centre) @ self.axes.T
        return np.pad(places, ((0, 0), (0, 2 - places.shape[1])))

    def label(self, axes: "Axes") -> None:
        """Write the names of the plane's directions at the axes of a picture."""
        if self.exact:
            axes.set(xlabel="z, dimension 0", ylabel="z, dimension 1")
            return
        first, second = (f"{100 * share:.0f} %" for share in self.shares)
        axes.set(
            xlabel=f"first principal component of mu ({first} of its variance)",
            ylabel=f"second ({second})",
        )


def draw_scatter(mu: Floats, labels: npt.ArrayLike | None = None, title: str = "") -> "Figure":
    """Return a picture of each item's mu (N, *latent_shape), coloured by its label.

    A label is a number or a name. Raises `InputError` for labels of another number.
    """
    figure, axes = _figure(7.2, 6)
    plane = Plane(mu)
    places = plane.project(mu)
    if labels is None:
        axes.scatter(*places.T, s=4, alpha=0.6, linewidths=0, color=_ACCENT)
    else:
        _by_label(axes, places, np.asarray(labels))
    _frame(axes, places)
    plane.label(axes)
    axes.set_title(title or "the data set in latent space", color=_INK)
    return figure


def draw_prior(vae: "VAE", posterior: Posterior, seed: int = 0) -> "Figure":
    """Return a picture of draws of the aggregate posterior beside as many draws of the prior.

    Where they differ, `generate` decodes latents unlike those of training, or leaves some out.
    """
    figure, pair = _figure(11, 5.4, columns=2)
    plane, z = Plane(posterior.mu), posterior.sample(seed=seed)
    drawn = vae.sample(len(z), seed=seed)
    kind = {"mixture": f"mixture of {vae.bundle.components}", "normal": "standard normal"}
    both = np.concatenate([plane.project(z), plane.project(drawn)])
    titles = ("aggregate posterior", f"prior: {kind.get(vae.bundle.prior, vae.bundle.prior)}")
    for axes, places, title, colour in zip(
        pair, np.split(both, 2), titles, (_ACCENT, "#c8553d"), strict=True
    ):
        axes.scatter(*places.T, s=4, alpha=0.5, linewidths=0, color=colour)
        _frame(axes, both)
        plane.label(axes)
        axes.set_title(title, color=_INK)
    return figure


def draw_units(posterior: Posterior) -> "Figure":
    """Return a picture of the mean KL from N(0, 1) of each dimension, in nats, largest first."""
    kl = posterior.kl_by_dimension().mean(0).ravel()
    active = _flat(posterior.mu).astype(np.float64).var(0) > ACTIVE_VARIANCE
    order = np.argsort(-kl)
    figure, axes = _figure(max(5.0, min(14.0, 0.22 * len(kl) + 2)), 4)
    colours = np.where(active[order], _ACCENT, "#d0d0d0")
    axes.bar(np.arange(len(kl)), kl[order], color=colours.tolist(), width=0.8)
    shown = order if len(kl) <= 64 else order[:0]  # the names of more would overlap
    axes.set_xticks(np.arange(len(shown)), map(str, shown), fontsize=7)
    axes.set(xlabel="dimension of z, by its KL", ylabel="mean KL from N(0, 1), nats")
    axes.margins(x=0.01)
    axes.set_title(f"{active.sum()} of {len(kl)} units active, {kl.sum():.1f} nats", color=_INK)
    return figure


def draw_manifold(vae: "VAE", side: int = 20) -> "Figure":
    """Return a picture of side x side images, decoded from the plane of a latent of 2 dimensions.

    The latents are quantiles of N(0, 1) in both dimensions, each in the middle of an equal share of
    the prior (Kingma and Welling 2014, figure 4). Raises `InputError` for other bundles.
    """
    data = vae.bundle.data
    if vae.bundle.dims != 2 or not isinstance(data, Image):
        raise InputError(
            f"bundle {vae.bundle.name!r}: a manifold needs images and a latent of 2 dimensions, "
            f"got {data.name}s and {vae.bundle.dims}; `python -m train fashion2d` trains such a "
            f"model"
        )
    quantiles = [NormalDist().inv_cdf((i + 0.5) / side) for i in range(side)]
    z = np.array([(a, b) for b in reversed(quantiles) for a in quantiles], np.float32)
    tiles = data.pixels(vae.decode(z.reshape(-1, *vae.bundle.latent_shape)))
    _, height, width, channels = tiles.shape
    picture = tiles.reshape(side, side, height, width, channels).swapaxes(1, 2)
    figure, axes = _figure(8, 8 * height / width)
    axes.imshow(picture.reshape(side * height, side * width, channels), cmap="gray")
    ticks = np.unique(np.linspace(0, side - 1, 5).round().astype(int))
    axes.set_xticks((ticks + 0.5) * width, [f"{quantiles[i]:.1f}" for i in ticks])
    axes.set_yticks((ticks + 0.5) * height, [f"{quantiles[side - 1 - i]:.1f}" for i in ticks])
    axes.set(xlabel="z, dimension 0", ylabel="z, dimension 1")
    axes.set_title(f"{vae.bundle.name} decoded at quantiles of N(0, 1)", color=_INK)
    return figure


def draw_latent_maps(
    vae: "VAE", posterior: Posterior, labels: npt.ArrayLike | None = None
) -> "dict[str, Figure]":
    """Return all pictures that this bundle allows, by name."""
    title = f"{len(posterior.mu):,} items in the latent space of {vae.bundle.name}"
    figures = {
        "scatter": draw_scatter(posterior.mu, labels, title),
        "units": draw_units(posterior),
    }
    if vae.bundle.prior != "none":
        figures["prior"] = draw_prior(vae, posterior)
    if vae.bundle.dims == 2 and vae.bundle.data.drawable:
        figures["manifold"] = draw_manifold(vae)
    return figures


def _figure(width: float, height: float, columns: int = 1) -> "tuple[Figure, Any]":
    """Return a figure and its axes, without lines above and on the right."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise InputError(
            "a map needs matplotlib, which is not installed: pip install 'edgevae[plot]'"
        ) from error
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    axes = figure.subplots(1, columns)
    for each in np.atleast_1d(axes):
        each.spines[["top", "right"]].set_visible(False)
        each.spines[["left", "bottom"]].set_color(_QUIET)
        each.tick_params(colors=_QUIET, labelcolor=_INK)
    return figure, axes


def _by_label(axes: "Axes", places: npt.NDArray[np.float64], labels: npt.NDArray[Any]) -> None:
    """Draw places (N, 2) in the colours of their labels (N,), with a legend if they are few."""
    if len(labels) != len(places):
        raise InputError(f"labels: expected {len(places)}, one for each item, got {len(labels)}")
    from matplotlib import colormaps

    classes, codes = np.unique(labels, return_inverse=True)
    palette = colormaps["tab10" if len(classes) <= 10 else "turbo"]
    share = palette.N if len(classes) <= 10 else max(1, len(classes) - 1)
    colours = np.asarray(palette(np.arange(len(classes)) / share))
    # In random order, so that the last class does not cover the others.
    order = np.random.default_rng(0).permutation(len(places))
    across, up = places[order].T
    axes.scatter(across, up, s=4, alpha=0.7, linewidths=0, c=colours[codes][order])
    if len(classes) <= 20:
        for name, colour in zip(classes, colours, strict=True):
            axes.scatter([], [], s=24, color=[colour], label=str(name))
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize=9)


def _frame(axes: "Axes", places: npt.NDArray[np.float64]) -> None:
    """Set the limits to show all but 0.4 % of the places: outliers would shrink the rest."""
    low, high = np.quantile(places, [0.002, 0.998], axis=0)
    reach = np.maximum(high - low, 1e-6) * _MARGIN
    axes.set(xlim=(low[0] - reach[0], high[0] + reach[0]))
    axes.set(ylim=(low[1] - reach[1], high[1] + reach[1]))


def _flat(z: Floats) -> Floats:
    """Return latents (N, *latent_shape) as (N, dims)."""
    return z.reshape(len(z), -1)

"""`VAE.decode` of latents larger than latent_shape, which `edgevae.tiles` puts together."""

from functools import partial
from typing import Protocol

import numpy as np
import numpy.typing as npt

from edgevae import checks, tiles
from edgevae import labels as classes
from edgevae.bundle import Bundle
from edgevae.errors import InputError
from edgevae.plans import Plan

Floats = npt.NDArray[np.float32]


class Model(Protocol):
    """The VAE that decodes the tiles."""

    @property
    def bundle(self) -> Bundle: ...
    def plan(self, role: str, /) -> Plan: ...
    def decode(self, z: Floats, /, *, labels: classes.Labels | None = None) -> Floats: ...


def decode(
    vae: Model,
    z: npt.ArrayLike,
    labels: classes.Labels | None = None,
    overlap: int | None = None,
    out: Floats | None = None,
) -> Floats:
    """x_hat of latents (N, C, H, W) or (C, H, W): float32 (N, C', s H, s W) or without N.

    As many tiles at a time as there are workers. Raises `InputError` where the decoder is not
    fully convolutional, and for latents smaller than a tile.
    """
    spec = _spec(vae.bundle)
    rows, single = _latents(z, vae.bundle.latent_shape)
    _, height, width = vae.bundle.latent_shape
    overlap = spec.overlap if overlap is None else overlap
    overlap = checks.whole(overlap, "overlap", most=min(height, width) - 1)
    y = classes.numbers(labels, vae.bundle.classes, len(rows))
    shape = x_shape(vae.bundle, rows)
    x_hat: Floats = checks.room(shape if single else (len(rows), *shape), "float32", out)
    together = vae.plan("decoder").workers
    for i, filled in enumerate(x_hat[None] if single else x_hat):
        run = partial(vae.decode, labels=None if y is None else int(y[i]))
        tiles.assemble(rows[i], (height, width), overlap, spec, run, filled, together=together)
    return x_hat


def x_shape(bundle: Bundle, z: Floats) -> tuple[int, ...]:
    """The shape of what each of the latents (N, C, H, W) becomes, in tiles."""
    return (bundle.x_shape[0], *(_spec(bundle).scale * side for side in z.shape[2:]))


def _spec(bundle: Bundle) -> tiles.Tiles:
    if bundle.tiles is None:
        raise InputError(
            f"tile: expected a fully convolutional decoder, got bundle {bundle.name!r}, whose "
            f"pixels may each depend on the whole latent (a linear layer, attention, normalisation "
            f"over the image), so that tiles would show; leave tile out, and decode latents of "
            f"shape {bundle.latent_shape}; or compile it again if it is convolutional"
        )
    return bundle.tiles


def _latents(z: npt.ArrayLike, tile: tuple[int, ...]) -> tuple[Floats, bool]:
    """z as rows (N, C, H, W), and whether it was a single one."""
    rows = checks.latents(z)
    single = rows.ndim == 3
    rows = rows[None] if single else rows
    channels, height, width = tile
    fits = rows.ndim == 4 and rows.shape[1] == channels
    if not fits or rows.shape[2] < height or rows.shape[3] < width:
        raise InputError(
            f"z: expected shape (N, {channels}, H, W) or ({channels}, H, W), H from {height} and W "
            f"from {width} on, got {np.shape(z)}"
        )
    return rows, single

"""Decode large pictures with little memory, by running a convolutional decoder on tiles.

A pixel depends only on the latent cells around it. So the pixels of a tile are those of the whole
picture, except near the edges of the tile. If neighbours share enough cells, both tiles are exact
along a seam between them. If they share fewer, both are nearly exact around the middle of the
shared cells, where one tile fades into the other.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edgevae import checks
from edgevae.bundle import Bundle, Tiles
from edgevae.data import labels as classes
from edgevae.engine import Runner
from edgevae.errors import InputError

Floats = npt.NDArray[np.float32]


class Place(NamedTuple):
    """The position of a tile along one axis: its first cell, and the weight of each pixel."""

    first: int
    weights: Floats


def margin(shared: int, receptive: int) -> int:
    """Return how many of the cells that a tile shares with the next are unused at its edge.

    With too few shared cells for exact pixels, leave out as many as possible: the error falls
    fast with the distance from the edge.
    """
    return receptive if 2 * receptive <= shared else max(0, shared // 2 - 1)


def places(size: int, tile: int, overlap: int, tiles: Tiles) -> list[Place]:
    """Return tiles of `tile` cells that cover `size` cells and share at least `overlap` cells.

    They are spread evenly, and the last one ends at the border. Their weights sum to 1 everywhere.
    """
    count = max(1, -(-(size - overlap) // (tile - overlap)))
    starts = [round(i * (size - tile) / max(1, count - 1)) for i in range(count)]
    weights = [np.ones(tile * tiles.scale, np.float32) for _ in starts]
    for i, (left, right) in enumerate(pairwise(starts)):
        shared = left + tile - right
        # The ramp is so narrow that no third tile takes part.
        ramp = min(shared - 2 * margin(shared, tiles.receptive), max(0, (tile - overlap) // 2 - 1))
        begin, pixels = (shared - ramp) // 2 * tiles.scale, ramp * tiles.scale
        rising = np.zeros(shared * tiles.scale, np.float32)
        rising[begin : begin + pixels] = (np.arange(pixels) + 0.5) / max(1, pixels)
        rising[begin + pixels :] = 1
        weights[i][len(weights[i]) - len(rising) :] -= rising
        weights[i + 1][: len(rising)] = rising
    return [*map(Place, starts, weights)]


def assemble(
    z: Floats,
    tile: tuple[int, int],
    overlap: int,
    tiles: Tiles,
    decode: Callable[[Floats], Floats],
    out: Floats,
    *,
    together: int,
) -> None:
    """Fill `out` (C', scale H, scale W) from a latent z (C, H, W), `together` tiles at a time.

    decode(tiles) returns x_hat of tiles (n, C, *tile). Memory holds `out` and these tiles.
    """
    out[...] = 0
    axes = [places(*args, overlap, tiles) for args in zip(z.shape[1:], tile, strict=True)]
    grid = [(row, column) for row in axes[0] for column in axes[1]]
    for first in range(0, len(grid), together):
        batch = grid[first : first + together]
        cut = [z[:, _cells(row, tile[0]), _cells(column, tile[1])] for row, column in batch]
        for (row, column), x_hat in zip(batch, decode(np.stack(cut)), strict=True):
            _add(out, x_hat, row, column, tiles.scale)


def _cells(place: Place, tile: int) -> slice:
    return slice(place.first, place.first + tile)


def _add(out: Floats, x_hat: Floats, row: Place, column: Place, scale: int) -> None:
    """Add a tile to the picture with its weights, where these are not 0."""
    down, across = _weighted(row), _weighted(column)
    x_hat = x_hat[:, down, across]
    x_hat *= row.weights[down, None]
    x_hat *= column.weights[across]
    out[:, _moved(down, row, scale), _moved(across, column, scale)] += x_hat


def _weighted(place: Place) -> slice:
    pixels = np.flatnonzero(place.weights)
    return slice(int(pixels[0]), int(pixels[-1]) + 1)


def _moved(pixels: slice, place: Place, scale: int) -> slice:
    return slice(pixels.start + scale * place.first, pixels.stop + scale * place.first)


# --- the latents of a bundle ---------------------------------------------------------------------


def decode(
    runner: Runner,
    z: npt.ArrayLike,
    labels: classes.Labels | None = None,
    overlap: int | None = None,
    out: Floats | None = None,
) -> Floats:
    """Return x_hat of latents (N, C, H, W) or (C, H, W): float32 (N, C', s H, s W) or without N.

    As many tiles are decoded at a time as there are workers. Raises `InputError` if the decoder
    is not fully convolutional, and for latents smaller than a tile.
    """
    bundle = runner.bundle
    spec = _spec(bundle)
    rows, single = _latents(z, bundle.latent_shape)
    _, height, width = bundle.latent_shape
    overlap = spec.overlap if overlap is None else overlap
    overlap = checks.integer(overlap, "overlap", most=min(height, width) - 1)
    y = classes.numbers(labels, bundle.classes, len(rows))
    shape = x_shape(bundle, rows)
    x_hat: Floats = checks.output_array(shape if single else (len(rows), *shape), "float32", out)
    together = runner.plan("decoder").workers
    for i, picture in enumerate(x_hat[None] if single else x_hat):

        def decode_tiles(tiles: Floats, row: int = i) -> Floats:
            return runner.decode(tiles, None if y is None else np.repeat(y[row], len(tiles)))

        assemble(rows[i], (height, width), overlap, spec, decode_tiles, picture, together=together)
    return x_hat


def x_shape(bundle: Bundle, z: Floats) -> tuple[int, ...]:
    """Return the shape of x_hat of each of the latents (N, C, H, W), decoded in tiles."""
    return (bundle.x_shape[0], *(_spec(bundle).scale * side for side in z.shape[2:]))


def _spec(bundle: Bundle) -> Tiles:
    if bundle.tiles is None:
        raise InputError(
            f"tile: expected a fully convolutional decoder, got bundle {bundle.name!r}, whose "
            f"pixels may each depend on the whole latent (a linear layer, attention, normalisation "
            f"over the image), so that tiles would show; leave tile out, and decode latents of "
            f"shape {bundle.latent_shape}; or compile it again if it is convolutional"
        )
    return bundle.tiles


def _latents(z: npt.ArrayLike, tile: tuple[int, ...]) -> tuple[Floats, bool]:
    """Return z as rows (N, C, H, W), and True if it was a single latent."""
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

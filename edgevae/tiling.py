"""Decode large latents tile by tile with a fully convolutional decoder, in little memory.

A pixel depends on the latent cells within some distance of it. So the pixels of a tile equal those
of the whole image, except near the edges at which the tile was cut out. Neighbouring tiles overlap.
If they share enough cells, there is a seam between them at which the pixels of both are exact. If
they share fewer, the pixels of both are closest to exact around the middle of the shared cells, and
there one tile fades into the other.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edgevae import checks
from edgevae.bundle import Bundle, Tiles
from edgevae.data import Labels, class_numbers
from edgevae.engine import Runner
from edgevae.errors import InputError

Floats = npt.NDArray[np.float32]


class Span(NamedTuple):
    """The position of a tile along one axis: its first cell, and the weight of each pixel."""

    first: int
    weights: Floats


def margin(shared: int, receptive: int) -> int:
    """Return how many cells at the edge of a tile are unused, of those shared with the next tile.

    Where the shared cells are too few for exact pixels, as many as possible are left out, since
    the error falls fast with the distance to the edge.
    """
    return receptive if 2 * receptive <= shared else max(0, shared // 2 - 1)


def spans(size: int, tile: int, overlap: int, spec: Tiles) -> list[Span]:
    """Return the spans of tiles of `tile` cells that cover `size` cells.

    They are spread evenly from border to border and share at least `overlap` cells. The weights of
    each pixel add up to 1.
    """
    count = max(1, -(-(size - overlap) // (tile - overlap)))
    starts = [round(i * (size - tile) / max(1, count - 1)) for i in range(count)]
    weights = [np.ones(tile * spec.scale, np.float32) for _ in starts]
    for i, (left, right) in enumerate(pairwise(starts)):
        shared = left + tile - right
        # The second bound keeps a third tile out of the cells in which two fade into each other.
        ramp = min(shared - 2 * margin(shared, spec.receptive), max(0, (tile - overlap) // 2 - 1))
        begin, pixels = (shared - ramp) // 2 * spec.scale, ramp * spec.scale
        rising = np.zeros(shared * spec.scale, np.float32)
        rising[begin : begin + pixels] = (np.arange(pixels) + 0.5) / max(1, pixels)
        rising[begin + pixels :] = 1
        weights[i][len(weights[i]) - len(rising) :] -= rising
        weights[i + 1][: len(rising)] = rising
    return [*map(Span, starts, weights)]


def assemble(
    z: Floats,
    tile: tuple[int, int],
    overlap: int,
    spec: Tiles,
    decode: Callable[[Floats], Floats],
    out: Floats,
    *,
    batch: int,
) -> None:
    """Fill `out` (C', scale H, scale W) with the image of a latent z (C, H, W).

    `decode` returns x_hat of tiles (n, C, *tile), n up to `batch`. Beside `out`, memory holds only
    these tiles.
    """
    out[...] = 0
    down, across = (
        spans(size, cells, overlap, spec) for size, cells in zip(z.shape[1:], tile, strict=True)
    )
    grid = [(row, column) for row in down for column in across]
    for start in range(0, len(grid), batch):
        places = grid[start : start + batch]
        tiles = [z[:, _cells(row, tile[0]), _cells(column, tile[1])] for row, column in places]
        for (row, column), x_hat in zip(places, decode(np.stack(tiles)), strict=True):
            _add(out, x_hat, row, column, spec.scale)


def _cells(span: Span, tile: int) -> slice:
    return slice(span.first, span.first + tile)


def _add(out: Floats, x_hat: Floats, row: Span, column: Span, scale: int) -> None:
    """Add the pixels of a tile to `out`, multiplied in place by their weights."""
    down, across = _used_pixels(row), _used_pixels(column)
    x_hat = x_hat[:, down, across]
    x_hat *= row.weights[down, None]
    x_hat *= column.weights[across]
    out[:, _shifted(down, row, scale), _shifted(across, column, scale)] += x_hat


def _used_pixels(span: Span) -> slice:
    """Return the pixels of a tile from the first to the last whose weight is not 0."""
    nonzero = np.flatnonzero(span.weights)
    return slice(int(nonzero[0]), int(nonzero[-1]) + 1)


def _shifted(pixels: slice, span: Span, scale: int) -> slice:
    """Return the pixels of a tile as pixels of the whole image."""
    return slice(pixels.start + scale * span.first, pixels.stop + scale * span.first)


# --- the latents of a bundle -----------------------------------------------------------------


def decode(
    runner: Runner,
    z: npt.ArrayLike,
    labels: Labels | None = None,
    overlap: int | None = None,
    out: Floats | None = None,
) -> Floats:
    """Return x_hat of latents, N or one: float32 (N, C', s H, s W), or without N.

    z is (N, C, H, W) or (C, H, W), and s the scale of the bundle's tiles. `labels` are the classes
    of a bundle with classes, `overlap` the cells that neighbouring tiles
    share (None: as the bundle says), and `out` the array to fill and return. Each batch has as
    many tiles as there are workers. Raises `InputError` if the decoder is not fully convolutional,
    and for latents smaller than a tile.
    """
    bundle = runner.bundle
    spec = _spec(bundle)
    rows, single = _read_latents(z, bundle.latent_shape)
    _, height, width = bundle.latent_shape
    overlap = spec.overlap if overlap is None else overlap
    overlap = checks.integer(overlap, "overlap", most=min(height, width) - 1)
    y = class_numbers(labels, bundle.classes, len(rows))
    shape = x_shape(bundle, rows)
    x_hat: Floats = checks.output_array(shape if single else (len(rows), *shape), "float32", out)
    if out is not None and np.may_share_memory(out, rows):
        raise InputError("out: expected memory of its own, got an array that overlaps z; copy z")
    batch = runner.plan("decoder").workers
    for i, picture in enumerate(x_hat[None] if single else x_hat):

        def decode_tiles(tiles: Floats, row: int = i) -> Floats:
            return runner.decode(tiles, None if y is None else np.repeat(y[row], len(tiles)))

        assemble(rows[i], (height, width), overlap, spec, decode_tiles, picture, batch=batch)
    return x_hat


def x_shape(bundle: Bundle, z: Floats) -> tuple[int, ...]:
    """Return the shape of the image of each latent of z (N, C, H, W): (C', s H, s W).

    Raises `InputError` as `decode` does.
    """
    scale = _spec(bundle).scale
    rows, _ = _read_latents(z, bundle.latent_shape)
    return (bundle.data.x_shape[0], *(scale * side for side in rows.shape[2:]))


def _spec(bundle: Bundle) -> Tiles:
    """Return the properties of the bundle's tiles. Raises `InputError` if it has none."""
    if bundle.tiles is None:
        raise InputError(
            f"tile: expected a fully convolutional decoder, got bundle {bundle.name!r}, whose "
            f"pixels may each depend on the whole latent (a linear layer, attention, normalisation "
            f"over the image), so that tiles would show; leave tile out, and decode latents of "
            f"shape {bundle.latent_shape}; or compile it again if it is convolutional"
        )
    return bundle.tiles


def _read_latents(z: npt.ArrayLike, tile: tuple[int, ...]) -> tuple[Floats, bool]:
    """Return z as rows (N, C, H, W), and True if it was a single latent. Raises `InputError`."""
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

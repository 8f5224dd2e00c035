"""Large pictures on small memory: a fully convolutional decoder, run on tiles of a large latent.

A pixel depends on the latent cells around it. So the pixels of a tile are those of the whole but
near the edges at which the tile was cut out, and where neighbours share enough cells there is a
seam between them that both have right. Where they share fewer, both are nearly right around the
middle of what they share, and there one fades into the other.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


class Tiles(NamedTuple):
    """What a decoder's tiles are like, measured when its bundle was made.

    `scale` pixels stand for a latent cell. `receptive` cells from the edge of a tile, and farther,
    its pixels are those of the whole. Neighbours share `overlap` cells where nobody asks for
    others; `difference` from the whole is what that was seen to cost at most, in units of x.
    """

    scale: int
    receptive: int
    overlap: int
    difference: float


class Place(NamedTuple):
    """Where a tile is along one axis: its first cell, and what each of its pixels counts."""

    first: int
    weights: Floats


def margin(shared: int, receptive: int) -> int:
    """Cells at the edge of a tile that are not used, of so many that it shares with the next.

    Where they are too few to be right, the more are left out the better: errors fall fast.
    """
    return receptive if 2 * receptive <= shared else max(0, shared // 2 - 1)


def places(size: int, tile: int, overlap: int, tiles: Tiles) -> list[Place]:
    """Tiles of `tile` cells that cover `size`, and share at least `overlap`; weights add up to 1.

    They are spread evenly; the last ends at the border.
    """
    count = max(1, -(-(size - overlap) // (tile - overlap)))
    starts = [round(i * (size - tile) / max(1, count - 1)) for i in range(count)]
    weights = [np.ones(tile * tiles.scale, np.float32) for _ in starts]
    for i, (left, right) in enumerate(pairwise(starts)):
        shared = left + tile - right
        # Not so wide that a third tile would take part.
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
    """Fills out (C', scale H, scale W) from a latent z (C, H, W), `together` tiles at a time.

    decode makes x_hat of tiles (n, C, *tile). Beside out, only those tiles are held.
    """
    out[...] = 0
    axes = [places(*args, overlap, tiles) for args in zip(z.shape[1:], tile, strict=True)]
    grid = [(row, column) for row in axes[0] for column in axes[1]]
    for first in range(0, len(grid), together):
        some = grid[first : first + together]
        cut = [z[:, _cells(row, tile[0]), _cells(column, tile[1])] for row, column in some]
        for (row, column), x_hat in zip(some, decode(np.stack(cut)), strict=True):
            _add(out, x_hat, row, column, tiles.scale)


def _cells(place: Place, tile: int) -> slice:
    return slice(place.first, place.first + tile)


def _add(out: Floats, x_hat: Floats, row: Place, column: Place, scale: int) -> None:
    """Adds what a tile counts, where it counts at all."""
    down, across = _counting(row), _counting(column)
    x_hat = x_hat[:, down, across]
    x_hat *= row.weights[down, None]
    x_hat *= column.weights[across]
    out[:, _moved(down, row, scale), _moved(across, column, scale)] += x_hat


def _counting(place: Place) -> slice:
    some = np.flatnonzero(place.weights)
    return slice(int(some[0]), int(some[-1]) + 1)


def _moved(pixels: slice, place: Place, scale: int) -> slice:
    return slice(pixels.start + scale * place.first, pixels.stop + scale * place.first)

"""Measure whether a decoder can be run on tiles of a larger latent.

The decoder is run on latents twice as long and on their two halves. It is fully convolutional if
it takes the long latents, their image is twice as long, and from some distance to the cut on the
pixels of the halves equal those of the long image. Graphs with normalisation over the image,
attention or linear layers are not, as each of their pixels depends on every cell.
"""

import numpy as np
import onnx_ir as ir

from edgevae.bundle import Tiles
from edgevae.compiler.graphs import LIMIT, CheckSession, Floats, shapes
from edgevae.compiler.reading import free_batch
from edgevae.errors import InputError
from edgevae.tiling import margin

_GREY_LEVELS = 255
_MAX_QUARTERS = 3  # of a tile that neighbours may share; 3 cost 16 times the work of none
_INVISIBLE = 0.25  # of a grey level by which tiles may differ from the whole image


def measure(
    decoder: ir.Model, z: Floats, x_hat: Floats, x_range: tuple[float, float]
) -> Tiles | None:
    """Return the tiles of a decoder in normal form; None if it is not fully convolutional.

    `z` has two or more latents of its prior, (N, C, h, w); `x_hat` is its output for them.
    """
    if z.ndim != 4 or x_hat.ndim != 4:
        return None
    sides = zip(x_hat.shape[2:], z.shape[2:], strict=True)
    scale, *others = {divmod(large, small) for large, small in sides}
    if others or scale[1] or not scale[0]:
        return None
    limit = LIMIT * max(1.0, float(np.abs(x_hat).max()))
    try:
        down, across = (_differences(decoder, z[:2], axis, scale[0]) for axis in (2, 3))
    except InputError:  # a size is a constant of the graph
        return None
    if down is None or across is None or max(down[-1], across[-1]) > limit:
        return None
    side = min(len(down), len(across))
    worst = np.maximum(down[:side], across[:side])
    receptive = int(np.count_nonzero(worst > limit))
    invisible = max(limit, _INVISIBLE * (x_range[1] - x_range[0]) / _GREY_LEVELS)
    overlap = next(
        (
            cells
            for cells in range(_MAX_QUARTERS * side // 4)
            if worst[margin(cells, receptive)] <= invisible
        ),
        side // 2,
    )
    return Tiles(scale[0], receptive, overlap, float(worst[margin(overlap, receptive)]))


def _differences(decoder: ir.Model, z: Floats, axis: int, scale: int) -> Floats | None:
    """Return the largest difference of the pixels from each distance to the cut on, in cells.

    The pixels are those of half a latent, compared with the whole one. Returns None if the
    whole image has another size than the two halves.
    """
    whole = np.concatenate([z[:1], z[1:]], axis=axis)
    y = np.zeros(1, np.int64)
    (large,) = CheckSession(_sized(decoder, whole.shape[1:]), "decoder").run(whole, y)
    session = CheckSession(decoder, "decoder")
    (left,), (right,) = session.run(z[:1], y), session.run(z[1:], y)
    halves = np.concatenate([left, right], axis=axis)
    if large.shape != halves.shape:
        return None
    others = tuple(other for other in range(4) if other != axis)
    pixels = np.abs(large - halves).max(axis=others)
    cells = pixels.reshape(2, -1, scale).max(axis=2)
    nearest_first = np.maximum(cells[0, ::-1], cells[1])
    return np.maximum.accumulate(nearest_first[::-1])[::-1]


def _sized(decoder: ir.Model, item: tuple[int, ...]) -> ir.Model:
    """Return the graph for latents of another size, with the sizes of Resize written as scales."""
    model = decoder.clone()
    free_batch.free_sizes(model)
    model.graph.inputs[0].shape = ir.Shape([shapes.BATCH, *item])
    shapes.forget(model)
    for output in model.graph.outputs:
        output.shape = None
    return model

"""Whether a decoder may be run on tiles of a larger latent, found out by trying.

It is run on latents twice as long, and on their halves. If the graph takes them, their picture is
twice as long, and the halves' pixels are those of the whole from some distance to the cut on, then
it is fully convolutional. Normalisation over the image, attention and linear layers are not: each
of their pixels sees every cell.
"""

import numpy as np
import onnx_ir as ir

from edgevae.bundle import Tiles
from edgevae.compiler.graphs import parity, shapes
from edgevae.compiler.graphs.parity import Floats
from edgevae.compiler.reading import free_batch as batch
from edgevae.errors import InputError
from edgevae.tiling import margin

_GREY_LEVELS = 255
_MOST = 3  # quarters of a tile that neighbours may share: 16 times the work of none
_SEEN = 0.25  # of a grey level: what tiles may differ by from the whole and nobody can see


def measure(
    decoder: ir.Model, z: Floats, x_hat: Floats, x_range: tuple[float, float]
) -> Tiles | None:
    """What the tiles of a decoder in normal form are like, by latents from its prior, two or more;
    None where it is not fully convolutional."""
    if z.ndim != 4 or x_hat.ndim != 4:
        return None
    sides = zip(x_hat.shape[2:], z.shape[2:], strict=True)
    scale, *others = {divmod(large, small) for large, small in sides}
    if others or scale[1] or not scale[0]:
        return None
    limit = parity.LIMIT * max(1.0, float(np.abs(x_hat).max()))
    try:
        down, across = (_differences(decoder, z[:2], axis, scale[0]) for axis in (2, 3))
    except InputError:  # a size that is written into the graph
        return None
    if down is None or across is None or max(down[-1], across[-1]) > limit:
        return None
    side = min(len(down), len(across))
    worst = np.maximum(down[:side], across[:side])
    receptive = int(np.count_nonzero(worst > limit))
    unseen = max(limit, _SEEN * (x_range[1] - x_range[0]) / _GREY_LEVELS)
    overlap = next(
        (cells for cells in range(_MOST * side // 4) if worst[margin(cells, receptive)] <= unseen),
        side // 2,
    )
    return Tiles(scale[0], receptive, overlap, float(worst[margin(overlap, receptive)]))


def _differences(decoder: ir.Model, z: Floats, axis: int, scale: int) -> Floats | None:
    """By cells to the cut, the most that the pixels there, or farther, of half a latent differ from
    those of the whole; None where the whole has another size."""
    whole = np.concatenate([z[:1], z[1:]], axis=axis)
    y = np.zeros(1, np.int64)
    (large,) = parity.Runner(_sized(decoder, whole.shape[1:]), "decoder").run(whole, y)
    runner = parity.Runner(decoder, "decoder")
    (left,), (right,) = runner.run(z[:1], y), runner.run(z[1:], y)
    halves = np.concatenate([left, right], axis=axis)
    if large.shape != halves.shape:
        return None
    others = tuple(other for other in range(4) if other != axis)
    pixels = np.abs(large - halves).max(axis=others)
    cells = pixels.reshape(2, -1, scale).max(axis=2)
    nearest_first = np.maximum(cells[0, ::-1], cells[1])
    return np.maximum.accumulate(nearest_first[::-1])[::-1]


def _sized(decoder: ir.Model, item: tuple[int, ...]) -> ir.Model:
    """The graph for latents of another size; sizes of images that are constants become scales."""
    model = decoder.clone()
    batch.free_sizes(model)
    model.graph.inputs[0].shape = ir.Shape([shapes.BATCH, *item])
    shapes.forget(model)
    for output in model.graph.outputs:
        output.shape = None
    return model

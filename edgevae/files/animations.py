"""Animations: a frame of a GIF file for each item."""

import io
from collections.abc import Iterable
from typing import Any

from numpy.typing import NDArray

from edgevae.data import Range, to_pil, to_uint8
from edgevae.errors import InputError
from edgevae.files.destination import open_output
from edgevae.files.sheets import automatic_scale, enlarged

FRAME_MS = 60


def write_gif(
    out: str, batches: Iterable[NDArray[Any]], x_range: Range, *, scale: int | None = None
) -> None:
    """Write an animation that repeats, of a frame for each row of float32 (n, C, H, W).

    Each pixel becomes `scale` x `scale` pixels; None enlarges small frames by `automatic_scale`.
    """
    with open_output(out) as file:
        frames = []
        for batch in batches:
            factor = scale or automatic_scale(*batch.shape[2:])
            frames += [to_pil(pixels) for pixels in enlarged(to_uint8(batch, x_range), factor)]
        if not frames:
            raise InputError(f"{out}: a .gif needs at least 1 row, got 0: write .npy")
        buffer = io.BytesIO()
        frames[0].save(
            buffer, "GIF", save_all=True, append_images=frames[1:], duration=FRAME_MS, loop=0
        )
        file.write(buffer.getbuffer())

"""Build the int8 variant of a bundle: its graphs, and how much their pixels differ."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from edgevae.compiler.graphs import CheckSession, Floats
from edgevae.compiler.int8 import quantise
from edgevae.compiler.reading import Note
from edgevae.data import psnr
from edgevae.errors import CheckError
from edgevae.latents import Prior

MIN_PSNR = 35.0  # dB
_ROWS = 256
_MAX_NUMBERS = 1 << 22  # of all pixels together

Range = tuple[float, float] | None


class Variant(NamedTuple):
    """Graphs by role, and `Bundle.quality`'s figures."""

    graphs: dict[str, ir.Model]
    quality: dict[str, float]


def build(
    graphs: Mapping[str, ir.Model],
    prior: Prior,
    *,
    x: Floats | None,
    x_range: Range,
    noise: float,
    force: bool,
    note: Note,
) -> Variant:
    """Quantise the decoder, and the encoder if its pixels too are at least 35 dB.

    `graphs` are in normal form. The decoder is calibrated on latents of the prior. The encoder is
    calibrated on half of x, float32 (N, *x_shape), or for None on decoded latents: on these items
    as they are, and with noise of sigma 0 to `noise`, as in its training. Without x_range, `noise`
    is in standard deviations of each value. The quality is measured without noise on latents of
    another seed or the other half of x.

    Raises `CheckError` if the decoder's pixels are below 35 dB, unless `force`.
    """
    decoder = CheckSession(graphs["decoder"], "decoder")
    size = decoder.run(prior.draw(1, seed=1))[0].size
    rows = min(_ROWS, max(16, _MAX_NUMBERS // size))
    z, test_z = prior.draw(rows, seed=1), prior.draw(rows, seed=2)
    quantised = {"decoder": quantise.quantise(graphs["decoder"], z)}
    expected = decoder.run(test_z)
    got = CheckSession(quantised["decoder"], "decoder in int8").run(test_z)
    decibels = psnr(expected[0], got[0], x_range)
    quality = _quality("decoder", expected, got, decibels)
    if not force and quality["decoder_psnr"] < MIN_PSNR:
        raise CheckError(
            f"decoder in int8: expected its pixels to be at least {MIN_PSNR:g} dB from those of "
            f"float32, got {quality['decoder_psnr']:.1f} dB; no bundle was written: leave out "
            f"--int8, or take it as it is with --force"
        )
    if "encoder" in graphs:
        if x is None:
            calibration, test_x = decoder.run(z)[0], expected[0]
        else:
            calibration, test_x = x[0::2][:rows], x[1::2][:rows]
        calibration = _noised(calibration, noise if x_range else noise * calibration.std(0))
        encoder, figures = _encoder(graphs["encoder"], decoder, calibration, test_x, x_range)
        if force or figures["encoder_psnr"] >= MIN_PSNR:
            quantised["encoder"] = encoder
            quality |= figures
        else:
            note(
                f"int8: the encoder stays in float32, as reconstructions would be "
                f"{figures['encoder_psnr']:.1f} dB from those of float32, below {MIN_PSNR:g} dB"
            )
    note("int8: " + ", ".join(f"{key} {value:.3g}" for key, value in quality.items()))
    return Variant(quantised, quality)


def _encoder(
    graph: ir.Model,
    decoder: CheckSession,
    calibration: Floats,
    test_x: Floats,
    x_range: Range,
) -> tuple[ir.Model, dict[str, float]]:
    """Quantise the encoder; its quality is that of the float32 decoder's pixels of its mu."""
    quantised = quantise.quantise(graph, calibration)
    expected = CheckSession(graph, "encoder").run(test_x)
    got = CheckSession(quantised, "encoder in int8").run(test_x)
    y = decoder.classes_of(expected[0])  # the same for both
    decibels = psnr(decoder.run(expected[0], y)[0], decoder.run(got[0], y)[0], x_range)
    return quantised, _quality("encoder", expected, got, decibels)


def _noised(x: Floats, noise: float | Floats) -> Floats:
    """Return x and, if there is noise, x again with noise of sigmas from 0 to `noise`."""
    if not np.any(noise):
        return x
    shares = np.linspace(0, 1, len(x), dtype=np.float32).reshape(-1, *[1] * (x.ndim - 1))
    eps = np.random.default_rng(1).standard_normal(x.shape, np.float32)
    return np.concatenate([x, x + np.asarray(noise, np.float32) * shares * eps])


def _quality(
    role: str, expected: Sequence[Floats], got: Sequence[Floats], decibels: float
) -> dict[str, float]:
    """Return the figures of a role in `Bundle.quality`."""
    pairs = zip(expected, got, strict=True)
    worst = max(float(np.abs(a - b).max()) for a, b in pairs)
    return {f"{role}_psnr": decibels, f"{role}_max_difference": worst}

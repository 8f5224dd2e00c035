"""The variant int8 of a bundle: its graphs, and what they cost in pixels."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import onnx_ir as ir

from edgevae.compiler.graphs.parity import Floats, Runner
from edgevae.compiler.int8 import quantise as quantize
from edgevae.compiler.reading.ports import Tell
from edgevae.errors import CheckError

LEAST = 35.0  # dB
_SAME = 99.0  # dB, of no difference at all, since a manifest holds finite numbers alone
_ROWS = 256
_NUMBERS = 1 << 22  # of all pixels together

Range = tuple[float, float] | None


class Variant(NamedTuple):
    """Graphs by role, and `Bundle.quality`'s figures."""

    graphs: dict[str, ir.Model]
    quality: dict[str, float]


def make(
    graphs: Mapping[str, ir.Model],
    latents: Callable[[int, int], Floats],
    *,
    check: Mapping[str, Floats],
    x: Floats | None,
    x_range: Range,
    noise: float,
    force: bool,
    tell: Tell,
) -> Variant:
    """Quantises the decoder, and the encoder where that costs no more than the decoder may.

    graphs are in normal form. latents(rows, seed) draws from the prior: the decoder is calibrated
    on these, the encoder on x, float32 (N, *x_shape), half of it, or where x is None on what the
    decoder makes of them, and on the same under all the noise that it was trained to see through,
    up to sigma `noise`, which without x_range is in standard deviations of each value. Quality is
    that on others, without noise: latents of another seed or the other half of
    x, and the inputs of `check`, the bundle's self-check. Raises `CheckError` where the decoder's
    pixels are below 35 dB, unless `force`.
    """
    decoder = Runner(graphs["decoder"], "decoder")
    rows = min(_ROWS, max(16, _NUMBERS // check["x_hat"][0].size))
    seen, unseen = latents(rows, 1), np.concatenate([latents(rows, 2), check["z"]])
    made = {"decoder": quantize.quantise(graphs["decoder"], seen)}
    right, got = decoder.run(unseen), Runner(made["decoder"], "decoder in int8").run(unseen)
    quality = _quality("decoder", right, got, len(check["z"]), psnr(right[0], got[0], x_range))
    if not force and quality["decoder_psnr"] < LEAST:
        raise CheckError(
            f"decoder in int8: expected its pixels to be at least {LEAST:g} dB from those of "
            f"float32, got {quality['decoder_psnr']:.1f} dB; no bundle was written: leave out "
            f"--int8, or take it as it is with --force"
        )
    if "encoder" in graphs:
        halves = (decoder.run(seen)[0], right[0]) if x is None else (x[0::2][:rows], x[1::2][:rows])
        seen = _noised(halves[0], noise if x_range else noise * halves[0].std(0))
        encoder, figures = _encoder(
            graphs["encoder"], decoder, seen, halves[1], check["x"], x_range
        )
        if force or figures["encoder_psnr"] >= LEAST:
            made["encoder"] = encoder
            quality |= figures
        else:
            tell(
                f"int8: the encoder stays in float32, as reconstructions would be "
                f"{figures['encoder_psnr']:.1f} dB from those of float32, below {LEAST:g} dB"
            )
    tell("int8: " + ", ".join(f"{key} {value:.3g}" for key, value in quality.items()))
    return Variant(made, quality)


def _encoder(
    graph: ir.Model, decoder: Runner, seen: Floats, unseen: Floats, check: Floats, x_range: Range
) -> tuple[ir.Model, dict[str, float]]:
    """The encoder, judged by what float32 decodes of its mu."""
    made = quantize.quantise(graph, seen)
    unseen = np.concatenate([unseen, check])
    right, got = Runner(graph, "encoder").run(unseen), Runner(made, "encoder in int8").run(unseen)
    y = decoder.classes_of(right[0])  # the same for both
    decibels = psnr(decoder.run(right[0], y)[0], decoder.run(got[0], y)[0], x_range)
    return made, _quality("encoder", right, got, len(check), decibels)


def _noised(x: Floats, noise: float | Floats) -> Floats:
    """x, and where there is noise x again with sigmas from 0 to `noise`: wider ranges."""
    if not np.any(noise):
        return x
    shares = np.linspace(0, 1, len(x), dtype=np.float32).reshape(-1, *[1] * (x.ndim - 1))
    eps = np.random.default_rng(1).standard_normal(x.shape, np.float32)
    return np.concatenate([x, x + np.asarray(noise, np.float32) * shares * eps])


def _quality(
    role: str, right: Sequence[Floats], got: Sequence[Floats], checks: int, decibels: float
) -> dict[str, float]:
    """What `Bundle.quality` says of a role; the last rows are those of the self-check."""
    pairs = zip(right, got, strict=True)
    worst = np.max([np.abs(a - b).reshape(len(a), -1).max(1) for a, b in pairs], axis=0)
    return {
        f"{role}_psnr": decibels,
        f"{role}_max_difference": float(worst.max()),
        f"{role}_check_difference": float(worst[-checks:].max()),
    }


def psnr(right: Floats, got: Floats, x_range: Range) -> float:
    """dB between 8-bit pixels of a range; without one, between numbers, by the range of `right`."""
    if x_range is None:
        size, one, other = float(right.max() - right.min()), right, got
    else:
        size, one, other = 255.0, _pixels(right, *x_range), _pixels(got, *x_range)
    error = float(np.square(one - other, dtype=np.float64).mean())
    return min(_SAME, 10 * math.log10(size**2 / error)) if error else _SAME


def _pixels(x: Floats, low: float, high: float) -> Floats:
    pixels: Floats = np.rint(np.clip((x - low) / (high - low), 0, 1) * 255)
    return pixels

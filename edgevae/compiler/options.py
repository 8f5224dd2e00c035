"""The options of a compilation: how graphs are read, and which graphs are written."""

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy.typing as npt

from edgevae import bundle
from edgevae.compiler.graphs import Floats
from edgevae.compiler.roles import Source
from edgevae.compiler.targets import DEFAULT
from edgevae.data import Range


class Reading(NamedTuple):
    """The way in which graphs are read.

    x_range: the range of x, unless the description's data have one; None infers that of images
        from the decoder's last operators.
    size: the height and width of x, or one number for both, for graphs that take any.
    outputs: the names of outputs, by role, that are not found by their names or order, such as
        {"encoder": ("mu", "logvar")}; one encoder output of twice the latent's channels is split.
    """

    x_range: Range | None = None
    size: Sequence[int] = ()
    outputs: Mapping[str, Sequence[str]] = MappingProxyType({})


class Extras(NamedTuple):
    """The parts of a bundle that an exporter or an existing bundle has beyond its two graphs.

    activations: a graph from x to h (N, H), for the score `nap`.
    selfcheck: inputs and expected outputs, which the compiled graphs must give to 1e-5; None takes
        those of the source graphs.
    tiles: the properties of the decoder's tiles; None measures them.
    arrays: further .npz files, as in `bundle.write`.
    calibration: the field of the manifest that goes with calibration.npz.
    """

    activations: Source | None = None
    selfcheck: Mapping[str, npt.NDArray[Any]] | None = None
    tiles: bundle.Tiles | None = None
    arrays: Mapping[str, Mapping[str, npt.NDArray[Any]]] = MappingProxyType({})
    calibration: Mapping[str, str | float] = MappingProxyType({})


class Int8(NamedTuple):
    """The options of int8 graphs.

    calibration: x, float32 (N, *x_shape) with N from 2, which the encoder is calibrated on; None
        takes decoded latents.
    force: accept graphs whose 8-bit pixels are below 35 dB.
    """

    calibration: Floats | None = None
    force: bool = False


class Options(NamedTuple):
    """The graphs that are written, and how their rewrites are chosen.

    targets: the processors and providers that graphs are rewritten for. The graph of "any", in
        normal form, is always written, and a further graph only if it is at least 5 % faster.
    measure: keep a rewrite for this machine's own target only where it is faster here; for other
        targets, and if False, a cost model decides.
    int8: write int8 graphs too, with these options; None writes none.
    """

    targets: Collection[str] = DEFAULT
    measure: bool = True
    int8: Int8 | None = None

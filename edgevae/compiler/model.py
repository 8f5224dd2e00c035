"""Read a model: its graphs in normal form, its description, its prior and its self-check."""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy.typing as npt
import onnx_ir as ir

from edgevae import bundle
from edgevae.bundle import Description
from edgevae.compiler import expected_outputs, roles
from edgevae.compiler.graphs import Floats
from edgevae.compiler.options import Extras, Reading
from edgevae.compiler.prior import read as read_prior
from edgevae.compiler.reading import Note, SourceGraph, infer, simplify
from edgevae.compiler.roles import Source
from edgevae.data import KINDS, Range
from edgevae.errors import InputError
from edgevae.latents import Prior
from edgevae.sampling import MixtureTable

_ROWS = 8  # of the self-check


class Model(NamedTuple):
    """The graphs of a model as they were read, by role, and outputs computed by them.

    normal: the graphs in normal form.
    mixture: the prior; None for the standard normal.
    z, x_hat: latents of the prior, and the decoder's outputs for them.
    check: the arrays of the self-check.
    """

    sources: dict[str, SourceGraph]
    normal: dict[str, ir.Model]
    description: Description
    mixture: MixtureTable | None
    z: Floats
    x_hat: Floats
    check: Mapping[str, npt.NDArray[Any]]


def read(
    decoder: Source,
    encoder: Source | None,
    description: Description,
    reading: Reading,
    prior: bundle.Mixture | str | os.PathLike[str] | None,
    extras: Extras,
    note: Note,
) -> Model:
    """Read the graphs into normal form, and infer the facts that the description omits."""
    sources = roles.read(
        decoder,
        {"encoder": encoder, "activations": extras.activations},
        reading.outputs,
        size=reading.size,
        classes=len(description.classes),
        point=description.model == "autoencoder",
        note=note,
    )
    latent_shape = sources["decoder"].item_shape
    mixture = read_prior(prior, latent_shape)
    normal = {role: simplify(source, note) for role, source in sources.items()}
    described = _infer(description, reading.x_range, sources["decoder"], normal["decoder"], note)
    z = Prior(latent_shape, mixture).draw(_ROWS, seed=0)
    (x_hat,) = sources["decoder"].reference.run(z)
    if "encoder" in sources:
        roles.check_mu(sources["encoder"], x_hat, latent_shape)
    check = extras.selfcheck or expected_outputs.compute(
        sources, z, x_hat, len(description.classes)
    )
    return Model(sources, normal, described, mixture, z, x_hat, check)


def _infer(
    description: Description,
    x_range: Range | None,
    source: SourceGraph,
    decoder: ir.Model,
    note: Note,
) -> Description:
    """Return the description with its data and likelihood; note what was inferred.

    `source` is the decoder as it was read, `decoder` its normal form.
    """
    data, likelihood, x_shape = description.data, description.likelihood, source.output_shape
    if data is None:
        data = infer.kind(x_shape)
        note(f"kind: {data}, as x has shape {x_shape}")
    if isinstance(data, str):
        kind = KINDS[data]
        if x_range is None and kind.drawable:
            x_range = infer.x_range(decoder, source.where)
            note(f"range: {x_range[0]:g} to {x_range[1]:g}, by the decoder's last operators")
        data = kind(x_shape, x_range)
    if data.x_shape != x_shape:
        raise InputError(
            f"{source.where}: expected a decoder of x {data.x_shape}, as described, got one of "
            f"{x_shape}"
        )
    if likelihood is None:
        likelihood = {"name": "gaussian", "sigma": 1.0}
        note("likelihood: not stated; took a Gaussian of sigma 1, which scores in squared errors")
    return dataclasses.replace(description, data=data, likelihood=likelihood)

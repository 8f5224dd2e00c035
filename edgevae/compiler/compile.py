"""Compile ONNX graphs to a bundle: read, check, rewrite, compare, write."""

import dataclasses
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy.typing as npt
import onnx
import onnx_ir as ir

from edgevae import bundle
from edgevae.bundle import Description, Manifest
from edgevae.compiler import entries, expected_outputs, roles, tiling
from edgevae.compiler import int8 as int8_graphs
from edgevae.compiler.entries import Gain
from edgevae.compiler.graphs import Floats
from edgevae.compiler.prior import read as read_prior
from edgevae.compiler.reading import Note, SourceGraph, infer, simplify, verify
from edgevae.compiler.rewrites import Row
from edgevae.compiler.roles import Source
from edgevae.compiler.targets import DEFAULT, named
from edgevae.data import KINDS, Image, Range
from edgevae.errors import InputError
from edgevae.latents import Prior
from edgevae.sampling import MixtureTable

_ROWS = 8  # of the self-check
_UNDESCRIBED = Description()


class Int8(NamedTuple):
    """The options of int8 graphs.

    calibration: x, float32 (N, *x_shape) with N from 2, which the encoder is calibrated on; None
        takes decoded latents.
    force: accept graphs whose 8-bit pixels are below 35 dB.
    """

    calibration: Floats | None = None
    force: bool = False


class _Model(NamedTuple):
    """The graphs of a model as they were read, by role, and what they compute.

    normal: the graphs in normal form.
    mixture: the prior; None for the standard normal.
    z, x_hat: latents of the prior, and what the decoder makes of them.
    check: the arrays of the self-check.
    """

    sources: dict[str, SourceGraph]
    normal: dict[str, ir.Model]
    description: Description
    mixture: MixtureTable | None
    z: Floats
    x_hat: Floats
    check: Mapping[str, npt.NDArray[Any]]


class Compiled(NamedTuple):
    """A bundle, and how it was made.

    notes: statements of what was inferred and which graphs were left out.
    passes: the passes of each role's graph, for all targets.
    gains: the gains of each role's graphs for the targets that kept a pass.
    """

    bundle: bundle.Bundle
    notes: list[str]
    passes: dict[str, list[Row]]
    gains: dict[str, list[Gain]]


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


_AS_GIVEN = Reading()
_NO_EXTRAS = Extras()


def compile(
    decoder: Source,
    encoder: Source | None = None,
    *,
    out: str | os.PathLike[str],
    replace: bool = False,
    description: Description = _UNDESCRIBED,
    reading: Reading = _AS_GIVEN,
    prior: bundle.Mixture | str | os.PathLike[str] | None = None,
    extras: Extras = _NO_EXTRAS,
    targets: Collection[str] = DEFAULT,
    measure: bool = True,
    int8: Int8 | None = None,
) -> Compiled:
    """Compile a decoder and, if there is one, its encoder to a bundle.

    The decoder has one input z and the encoder one input x, float32 with the batch first. Bytes
    are an ONNX graph, anything else is its path. Opsets before 11 are converted by onnx.

    - `out` is the folder to write; a bundle that it holds is replaced only with `replace`.
    - `description` holds the facts about the model. Those that are None are inferred: the name
      from the folder, the kind ("image" or "vector") from x_hat, the tolerance from the outputs;
      the likelihood is a Gaussian of sigma 1. Classes need a decoder with a second input,
      int64 (n,), and the encoder of an "autoencoder" may have one output, mu.
    - `reading` says how the graphs are read: the range and the size of x, the names of outputs.
    - `prior` is a mixture, or the path of an .npz with weights (K,), means (K, D) and logvars
      (K, D); None is the standard normal, or for an "autoencoder" no prior.
    - `extras` holds a graph of activations, a self-check and further files.
    - `targets` are the processors that the graphs are rewritten for; "any", the graph in normal
      form, is always held, and a further graph only if it is 5 % faster.
    - With `measure` a pass is kept only where it is faster on this machine, run as the target runs
      it; otherwise, and for a target that this machine cannot imitate, a cost model decides.
    - `int8` adds int8 graphs, with these options.

    Nothing is written unless all checks pass. Raises `InputError` if a graph or an argument
    cannot be used, `BundleError` if `out` holds more than a bundle, and `CheckError` if the
    result differs by more than 1e-5 from the source, or int8 pixels are below 35 dB.
    """
    check_out(out, replace=replace)
    chosen = named(targets)
    notes: list[str] = []
    note = notes.append
    model = _read(decoder, encoder, description, reading, prior, extras, note)
    if int8 is not None:
        _check_int8(int8, model)
    for role, source in model.sources.items():
        verify(source, model.normal[role])
    graphs = {
        role: entries.make(
            source,
            model.normal[role],
            model.z if role == "decoder" else model.x_hat,
            model.check,
            chosen,
            role=role,
            measure=measure,
        )
        for role, source in model.sources.items()
    }
    manifest = _manifest(model, Path(out).absolute().name, extras, note)
    files, check = [file for made in graphs.values() for file in made.files], {**model.check}
    if int8 is not None:
        quantised = _quantise(int8, manifest, model, note)
        files += _int8_files(quantised, model.check, measure)
        check |= expected_outputs.of_int8(quantised.graphs, check)
        manifest = dataclasses.replace(manifest, quality={"int8": quantised.quality})
    written = bundle.write(
        out, manifest, files, selfcheck=check, prior=model.mixture, arrays=extras.arrays
    )
    notes += [line for role, made in graphs.items() for line in _left_out(role, made)]
    passes = {role: made.passes for role, made in graphs.items()}
    return Compiled(written, notes, passes, {role: made.gains for role, made in graphs.items()})


def check_out(out: str | os.PathLike[str], *, replace: bool = False) -> None:
    """Check that a bundle may be written to a folder, as `compile` does before any work.

    Raises `InputError` if the folder holds a bundle and `replace` is False, and `BundleError`
    if it holds anything else.
    """
    bundle.check_replaceable(Path(out))
    if not replace and Path(out).is_dir() and any(Path(out).iterdir()):
        raise InputError(
            f"{out}: expected a folder without a bundle, found one; use --replace, or "
            f"replace=True, to replace it, or name another folder"
        )


def _read(
    decoder: Source,
    encoder: Source | None,
    description: Description,
    reading: Reading,
    prior: bundle.Mixture | str | os.PathLike[str] | None,
    extras: Extras,
    note: Note,
) -> _Model:
    """Read the graphs and bring them into normal form; infer what the description leaves open."""
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
    return _Model(sources, normal, described, mixture, z, x_hat, check)


def _check_int8(options: Int8, model: _Model) -> None:
    """Raise `InputError` unless there are items that int8 graphs can be calibrated on."""
    if model.description.model == "autoencoder" and model.mixture is None:
        raise InputError(
            "int8 is calibrated on latents of the prior, and an autoencoder has none: pass one "
            "that was fitted to its latents (--prior), or leave out --int8"
        )
    x, x_shape = options.calibration, model.sources["decoder"].output_shape
    if x is not None and (x.shape[1:] != x_shape or len(x) < 2):
        raise InputError(
            f"calibration: expected at least 2 items of the decoder's x, (N, "
            f"{', '.join(map(str, x_shape))}), got {x.shape}; pass other items (--calibration)"
        )


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


def _manifest(model: _Model, default_name: str, extras: Extras, note: Note) -> Manifest:
    """Return the description of a bundle of a model, whose tiles are measured and noted."""
    described = model.description
    name, provenance, tolerance = described.name, described.provenance, described.tolerance
    facts = {
        **vars(described),
        "name": default_name if name is None else name,
        "provenance": _provenance(model.sources) if provenance is None else provenance,
        "tolerance": expected_outputs.tolerance(model.check, described.model)
        if tolerance is None
        else tolerance,
    }
    return Manifest(
        **facts,
        latent_shape=model.sources["decoder"].item_shape,
        opset=max(graph.opset_imports[""] for graph in model.normal.values()),
        tiles=extras.tiles or _tiles(model, note),
        calibration=extras.calibration,
    )


def _quantise(options: Int8, manifest: Manifest, model: _Model, note: Note) -> int8_graphs.Variant:
    """Return the int8 graphs of the decoder and, if their quality allows it, of the encoder."""
    return int8_graphs.build(
        {role: graph for role, graph in model.normal.items() if role != "activations"},
        Prior(manifest.latent_shape, model.mixture),
        x=options.calibration,
        x_range=manifest.x_range,
        noise=manifest.noise,
        force=options.force,
        note=note,
    )


def _tiles(model: _Model, note: Note) -> bundle.Tiles | None:
    """Measure the tiles of an image's decoder and note them; None if it has none."""
    data = model.description.data
    if not isinstance(data, Image):
        return None
    tiles = tiling.measure(model.normal["decoder"], model.z, model.x_hat, data.x_range)
    if tiles is not None:
        note(f"tiles: {', '.join(f'{key} {value:.3g}' for key, value in tiles._asdict().items())}")
    return tiles


def _provenance(sources: Mapping[str, SourceGraph]) -> dict[str, str | float]:
    """Return the exporters of the graphs and the version of onnx."""
    producers = {
        f"{role}_producer": source.producer for role, source in sources.items() if source.producer
    }
    return {**producers, "onnx": onnx.__version__}


def _int8_files(
    quantised: int8_graphs.Variant, check: Mapping[str, npt.NDArray[Any]], measure: bool
) -> list[entries.GraphFile]:
    """Return the entries and the files of int8 graphs."""
    return [
        entries.int8(role, model, check[model.graph.inputs[0].name or ""], measure=measure)
        for role, model in quantised.graphs.items()
    ]


def _left_out(role: str, graphs: entries.RoleGraphs) -> list[str]:
    """Return a note for each target whose graph gains too little to be held."""
    return [
        f"{gain.target}: the {role} for it is {gain.times:.2f}x as fast as that for any, less than "
        f"{entries.MIN_GAIN}x, and was left out"
        for gain in graphs.gains
        if not gain.kept
    ]

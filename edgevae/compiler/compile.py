"""Compile ONNX graphs to a bundle: read, check, rewrite, compare, write."""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import onnx

from edgevae import bundle
from edgevae.bundle import Description, Manifest
from edgevae.compiler import entries, expected_outputs, tiling
from edgevae.compiler import int8 as int8_graphs
from edgevae.compiler import model as models
from edgevae.compiler.entries import Gain, GraphFile, RoleGraphs
from edgevae.compiler.model import Model
from edgevae.compiler.options import Extras, Int8, Options, Reading
from edgevae.compiler.reading import Note, SourceGraph, verify
from edgevae.compiler.rewrites import Row
from edgevae.compiler.roles import Source
from edgevae.compiler.targets import named
from edgevae.data import Image
from edgevae.errors import InputError
from edgevae.latents import Prior

_UNDESCRIBED = Description()
_DEFAULT_READING = Reading()
_NO_EXTRAS = Extras()
_DEFAULT_OPTIONS = Options()


class Compiled(NamedTuple):
    """A bundle, and the record of its compilation.

    notes: statements of what was inferred and which graphs were left out.
    passes: the passes of each role's graph, for all targets.
    gains: the gains of each role's graphs for the targets that kept a pass.
    """

    bundle: bundle.Bundle
    notes: list[str]
    passes: dict[str, list[Row]]
    gains: dict[str, list[Gain]]


def compile(
    decoder: Source,
    encoder: Source | None = None,
    *,
    out: str | os.PathLike[str],
    replace: bool = False,
    description: Description = _UNDESCRIBED,
    reading: Reading = _DEFAULT_READING,
    prior: bundle.Mixture | str | os.PathLike[str] | None = None,
    extras: Extras = _NO_EXTRAS,
    options: Options = _DEFAULT_OPTIONS,
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
    - `options` says which graphs are written: for which targets, and whether in int8.

    Nothing is written unless all checks pass. Raises `InputError` if a graph or an argument
    cannot be used, `BundleError` if `out` holds more than a bundle, and `CheckError` if the
    result differs by more than 1e-5 from the source, or int8 pixels are below 35 dB.
    """
    check_out(out, replace=replace)
    targets = named(options.targets)
    notes: list[str] = []
    model = models.read(decoder, encoder, description, reading, prior, extras, notes.append)
    if options.int8 is not None:
        _check_int8(options.int8, model)
    for role, source in model.sources.items():
        verify(source, model.normal[role])
    graphs = {
        role: entries.make(
            source,
            model.normal[role],
            model.z if role == "decoder" else model.x_hat,
            model.check,
            targets,
            role=role,
            measure=options.measure,
        )
        for role, source in model.sources.items()
    }
    manifest = _manifest(model, Path(out).absolute().name, extras, notes.append)
    written = _write(out, model, manifest, graphs, extras, options, notes.append)
    notes += [line for role, each in graphs.items() for line in _left_out(role, each)]
    passes = {role: each.passes for role, each in graphs.items()}
    return Compiled(written, notes, passes, {role: each.gains for role, each in graphs.items()})


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


def _check_int8(options: Int8, model: Model) -> None:
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


def _manifest(model: Model, default_name: str, extras: Extras, note: Note) -> Manifest:
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


def _tiles(model: Model, note: Note) -> bundle.Tiles | None:
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


def _write(
    out: str | os.PathLike[str],
    model: Model,
    manifest: Manifest,
    graphs: Mapping[str, RoleGraphs],
    extras: Extras,
    options: Options,
    note: Note,
) -> bundle.Bundle:
    """Write the bundle of a model, with int8 graphs if the options ask for them."""
    files, check = [file for each in graphs.values() for file in each.files], {**model.check}
    if options.int8 is not None:
        quantised = _quantise(options.int8, manifest, model, note)
        files += _int8_files(quantised, model, options.measure)
        check |= expected_outputs.of_int8(quantised.graphs, check)
        manifest = dataclasses.replace(manifest, quality={"int8": quantised.quality})
    return bundle.write(
        out, manifest, files, selfcheck=check, prior=model.mixture, arrays=extras.arrays
    )


def _quantise(options: Int8, manifest: Manifest, model: Model, note: Note) -> int8_graphs.Variant:
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


def _int8_files(quantised: int8_graphs.Variant, model: Model, measure: bool) -> list[GraphFile]:
    """Return the entries and the files of int8 graphs."""
    return [
        entries.int8(role, graph, model.check[graph.graph.inputs[0].name or ""], measure=measure)
        for role, graph in quantised.graphs.items()
    ]


def _left_out(role: str, graphs: entries.RoleGraphs) -> list[str]:
    """Return a note for each target whose graph gains too little to be held."""
    return [
        f"{gain.target}: the {role} for it is {gain.times:.2f}x as fast as that for any, less than "
        f"{entries.MIN_GAIN}x, and was left out"
        for gain in graphs.gains
        if not gain.kept
    ]

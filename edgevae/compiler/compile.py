"""Compile ONNX graphs to a bundle: read, check, rewrite, compare, write."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir

from edgevae import bundle
from edgevae.bundle import ANY, Description, GraphEntry, Manifest
from edgevae.compiler import expected_outputs, measure_chunk, roles, tiling
from edgevae.compiler import int8 as int8_graphs
from edgevae.compiler.graphs import LIMIT, CheckSession, Floats, memory, rename
from edgevae.compiler.prior import read as read_prior
from edgevae.compiler.reading import Note, SourceGraph, infer, simplify, verify
from edgevae.compiler.rewrites import Row, pipeline
from edgevae.compiler.roles import Source
from edgevae.data import KINDS, Image, Kind, Range
from edgevae.errors import CheckError, InputError
from edgevae.latents import Prior
from edgevae.sampling import MixtureTable

_ROWS = 8  # of the self-check
_UNDESCRIBED = Description()
_UNNAMED: Mapping[str, Sequence[str]] = MappingProxyType({})


class Int8(NamedTuple):
    """The options of int8 graphs.

    calibration: x, float32 (N, *x_shape) with N from 2, which the encoder is calibrated on; None
        takes decoded latents.
    force: accept graphs whose 8-bit pixels are below 35 dB.
    """

    calibration: Floats | None = None
    force: bool = False


class Compiled(NamedTuple):
    """A bundle, notes of what was inferred for it, and the passes of each role's graph."""

    bundle: bundle.Bundle
    notes: list[str]
    passes: dict[str, list[Row]]


class _Graph(NamedTuple):
    """A role's graph as it was read, in normal form and as it is written, and its passes."""

    source: SourceGraph
    normal: ir.Model
    model: ir.Model
    passes: list[Row]


def compile(
    decoder: Source,
    encoder: Source | None = None,
    *,
    out: str | os.PathLike[str],
    replace: bool = False,
    description: Description = _UNDESCRIBED,
    x_range: Range | None = None,
    size: Sequence[int] = (),
    prior: bundle.Mixture | str | os.PathLike[str] | None = None,
    activations: Source | None = None,
    outputs: Mapping[str, Sequence[str]] = _UNNAMED,
    selfcheck: Mapping[str, npt.NDArray[Any]] | None = None,
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
    - `x_range` is the range of x, unless `description.data` has one; None infers that of images
      from the decoder's last operators.
    - `size` is the height and width of x, or one number for both, for graphs that take any.
    - `prior` is a mixture, or the path of an .npz with weights (K,), means (K, D) and logvars
      (K, D); None is the standard normal, or for an "autoencoder" no prior.
    - `activations` is a graph from x to h (N, H), for the score `nap`.
    - `outputs` names outputs, by role, that are not found by their names or order, such as
      {"encoder": ("mu", "logvar")}; one encoder output of twice the latent's channels is split.
    - `selfcheck` holds inputs and expected outputs, which the compiled graphs must give to 1e-5;
      None takes those of the source graphs.
    - With `measure` a pass is kept only where it is faster on this machine.
    - `int8` adds int8 graphs, with these options.

    Nothing is written unless all checks pass. Raises `InputError` if a graph or an argument
    cannot be used, `BundleError` if `out` holds more than a bundle, and `CheckError` if the
    result differs by more than 1e-5 from the source, or int8 pixels are below 35 dB.
    """
    check_out(out, replace=replace)
    notes: list[str] = []
    sources = roles.read(
        decoder,
        {"encoder": encoder, "activations": activations},
        outputs,
        size=size,
        classes=len(description.classes),
        point=description.model == "autoencoder",
        note=notes.append,
    )
    mixture = read_prior(prior, sources["decoder"].item_shape)
    if int8 is not None:
        _check_int8(int8, description.model, mixture, sources["decoder"].output_shape)
    normal = {role: simplify(source, notes.append) for role, source in sources.items()}
    described = _infer(description, x_range, sources["decoder"], normal["decoder"], notes.append)
    for role, source in sources.items():
        verify(source, normal[role])

    z = Prior(sources["decoder"].item_shape, mixture).draw(_ROWS, seed=0)
    (x_hat,) = sources["decoder"].reference.run(z)
    if "encoder" in sources:
        roles.check_mu(sources["encoder"], x_hat, sources["decoder"].item_shape)
    graphs = {
        role: _optimised(source, normal[role], z if role == "decoder" else x_hat, measure)
        for role, source in sources.items()
    }
    check = selfcheck or expected_outputs.compute(sources, z, x_hat, len(description.classes))
    for graph in graphs.values():
        expected_outputs.check(graph.model, check, graph.source.where)
    manifest = _manifest(described, Path(out).absolute().name, graphs, check)
    tiles = _tiles(normal["decoder"], z, x_hat, manifest.data, notes.append)
    files, quality = [_float32(role, graph, check, measure) for role, graph in graphs.items()], {}
    if int8 is not None:
        quantised = _quantise(int8, manifest, normal, mixture, notes.append)
        files += [_int8(role, graph) for role, graph in quantised.graphs.items()]
        quality["int8"] = quantised.quality
        check = {**check, **expected_outputs.of_int8(quantised.graphs, check)}
    manifest = dataclasses.replace(manifest, tiles=tiles, quality=quality)
    written = bundle.write(out, manifest, files, selfcheck=check, prior=mixture)
    return Compiled(written, notes, {role: graph.passes for role, graph in graphs.items()})


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


def _check_int8(
    options: Int8, model: str, mixture: MixtureTable | None, x_shape: tuple[int, ...]
) -> None:
    """Raise `InputError` unless there are items that int8 graphs can be calibrated on."""
    if model == "autoencoder" and mixture is None:
        raise InputError(
            "int8 is calibrated on latents of the prior, and an autoencoder has none: pass one "
            "that was fitted to its latents (--prior), or leave out --int8"
        )
    x = options.calibration
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


def _manifest(
    description: Description,
    default_name: str,
    graphs: Mapping[str, _Graph],
    check: Mapping[str, npt.NDArray[Any]],
) -> Manifest:
    """Return the description of a bundle of these graphs."""
    name, provenance, tolerance = description.name, description.provenance, description.tolerance
    facts = {
        **vars(description),
        "name": default_name if name is None else name,
        "provenance": _provenance(graphs) if provenance is None else provenance,
        "tolerance": expected_outputs.tolerance(check, description.model)
        if tolerance is None
        else tolerance,
    }
    return Manifest(
        **facts,
        latent_shape=graphs["decoder"].source.item_shape,
        opset=max(graph.model.opset_imports[""] for graph in graphs.values()),
    )


def _quantise(
    options: Int8,
    manifest: Manifest,
    normal: Mapping[str, ir.Model],
    mixture: MixtureTable | None,
    note: Note,
) -> int8_graphs.Variant:
    """Return the int8 graphs of the decoder and, if their quality allows it, of the encoder."""
    return int8_graphs.build(
        {role: graph for role, graph in normal.items() if role != "activations"},
        Prior(manifest.latent_shape, mixture),
        x=options.calibration,
        x_range=manifest.x_range,
        noise=manifest.noise,
        force=options.force,
        note=note,
    )


def _optimised(source: SourceGraph, normal: ir.Model, items: Floats, measure: bool) -> _Graph:
    """Return the graph after the passes, compared with its source on random rows and `items`."""
    random = np.random.default_rng(1).standard_normal((7, *items.shape[1:]), np.float32)
    expected = source.reference.expected(np.concatenate([random, items]))
    model, passes = pipeline.optimise(normal, expected, measure=measure)
    rename.tidy(model)
    error = expected.difference(CheckSession(model, source.where))
    if not error <= LIMIT:
        raise CheckError(
            f"{source.where}: expected the compiled graph to differ by at most {LIMIT} from its "
            f"source, got {error:.1e}; no bundle was written"
        )
    return _Graph(source, normal, model, passes)


def _tiles(
    decoder: ir.Model, z: Floats, x_hat: Floats, data: Kind, note: Note
) -> bundle.Tiles | None:
    """Measure the tiles of an image's decoder and note them; None if it has none."""
    if not isinstance(data, Image):
        return None
    tiles = tiling.measure(decoder, z, x_hat, data.x_range)
    if tiles is not None:
        note(f"tiles: {', '.join(f'{key} {value:.3g}' for key, value in tiles._asdict().items())}")
    return tiles


def _chunk(graph: _Graph, check: Mapping[str, Floats], measure: bool) -> int:
    """Return the rows for one worker at a time, measured or modelled."""
    if not measure:
        return memory.modelled_chunk(graph.model)
    return measure_chunk.measured_chunk(graph.model, check[graph.model.graph.inputs[0].name or ""])


def _provenance(graphs: Mapping[str, _Graph]) -> dict[str, str | float]:
    """Return the exporters of the graphs and the version of onnx."""
    producers = {
        f"{role}_producer": graph.source.producer
        for role, graph in graphs.items()
        if graph.source.producer
    }
    return {**producers, "onnx": onnx.__version__}


def _float32(
    role: str, graph: _Graph, check: Mapping[str, Floats], measure: bool
) -> tuple[GraphEntry, bytes]:
    """Return the entry of a float32 graph, and its file."""
    entry = GraphEntry(
        role,
        ANY,
        "float32",
        row_bytes=memory.row_bytes(graph.model),
        chunk_rows=_chunk(graph, check, measure),
    )
    return entry, _serialised(graph.model)


def _int8(role: str, model: ir.Model) -> tuple[GraphEntry, bytes]:
    """Return the entry of an int8 graph, and its file."""
    row_bytes, chunk = memory.row_bytes(model), memory.modelled_chunk(model)
    entry = GraphEntry(role, ANY, "int8", row_bytes=row_bytes, chunk_rows=chunk)
    return entry, _serialised(model)


def _serialised(model: ir.Model) -> bytes:
    """Return a graph as a file, checked by onnx."""
    proto = ir.to_proto(model)
    onnx.checker.check_model(proto)
    content: bytes = proto.SerializeToString()
    return content

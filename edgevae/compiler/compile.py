"""Compile ONNX graphs to a bundle: read, check, rewrite, compare, write."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir

from edgevae import bundle
from edgevae.compiler import chunk_rows, roles, tiling
from edgevae.compiler import int8 as int8_graphs
from edgevae.compiler import prior as priors
from edgevae.compiler import selfcheck as selfchecks
from edgevae.compiler.graphs import LIMIT, CheckSession, Floats, memory, rename
from edgevae.compiler.reading import Note, SourceGraph, infer, simplify, verify
from edgevae.compiler.rewrites import Row, pipeline
from edgevae.compiler.roles import Source
from edgevae.data import KINDS, Image, Kind, Range
from edgevae.errors import CheckError, InputError

_ROWS = 8  # of the self-check


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
    name: str | None = None,
    data: Kind | str | None = None,
    x_range: tuple[float, float] | None = None,
    size: Sequence[int] = (),
    model: str = "vae",
    prior: bundle.Mixture | str | os.PathLike[str] | None = None,
    likelihood: bundle.Likelihood | None = None,
    noise: float = 0.0,
    licence: str = "not stated",
    provenance: Mapping[str, str | float] | None = None,
    decoder_output: str | None = None,
    encoder_outputs: Sequence[str] = (),
    selfcheck: Mapping[str, npt.NDArray[Any]] | None = None,
    tolerance: float | None = None,
    measure: bool = True,
    int8: bool = False,
    calibration: Floats | None = None,
    force: bool = False,
    classes: Sequence[str] = (),
    by_class: bool = False,
    activations: Source | None = None,
) -> Compiled:
    """Compile a decoder and, if there is one, its encoder to a bundle.

    The decoder has one input z and the encoder one input x, float32 with the batch first. Bytes
    are an ONNX graph, anything else is its path. Opsets before 11 are converted by onnx.

    - `out` is the folder to write; a bundle that it holds is replaced only with `replace`.
    - `name` defaults to the folder's name.
    - `data` is a complete `Kind`, or the name of one; it defaults to "image" or "vector" by the
      shape of x_hat. `x_range` is the range of x; for images it is inferred from the decoder's
      last operators where it is None.
    - `size` is the height and width of x in pixels, or one number for both, for graphs that take
      any.
    - `model` is as in `Bundle`: the encoder of an "autoencoder" may have one output, mu, and
      without a mixture it has no prior.
    - `prior` is a mixture, or the path of an .npz with weights (K,), means (K, D) and logvars
      (K, D); None is the standard normal. `likelihood` is as in `Bundle`; None is a Gaussian of
      sigma 1.
    - `decoder_output` and `encoder_outputs` (mu, logvar) name outputs that are not found by their
      names or order; one encoder output of twice the latent's channels is split.
    - `classes` names the numbers that the decoder's second input, int64 (n,), takes. With
      `by_class` the prior has equally many components for each class, in the order of the classes.
    - `activations` is a graph from x to h (N, H), for the score `nap`.
    - `selfcheck` holds inputs and expected outputs, which the compiled graphs must give to 1e-5;
      it defaults to those of the source graphs, `tolerance` to one in proportion to the outputs.
    - With `measure` a pass is kept only where it is faster on this machine.
    - With `int8` the bundle has int8 graphs too; the encoder's are calibrated on `calibration`,
      float32 (N, *x_shape) with N from 2, which defaults to decoded latents. `force` accepts int8
      pixels below 35 dB.

    Nothing is written unless all checks pass. Raises `InputError` where a graph or an argument
    cannot be used, `BundleError` where `out` holds more than a bundle, and `CheckError` where the
    result differs by more than 1e-5 from the source, or int8 pixels are below 35 dB.
    """
    check_out(out, replace=replace)
    notes: list[str] = []
    sources = roles.read(
        {"decoder": decoder, "encoder": encoder, "activations": activations},
        {"decoder": [decoder_output] if decoder_output else [], "encoder": encoder_outputs},
        size=size,
        classes=len(classes),
        point=model == "autoencoder",
        note=notes.append,
    )
    latent_shape, x_shape = sources["decoder"].item_shape, sources["decoder"].output_shape
    mixture = priors.read(prior, latent_shape)
    if int8:
        _check_int8(model, mixture)
    normal = {role: simplify(source, notes.append) for role, source in sources.items()}
    if not isinstance(data, Kind):
        where = sources["decoder"].where
        data = _kind(data, x_shape, x_range, normal["decoder"], where, notes.append)
    for role, source in sources.items():
        verify(source, normal[role])

    z = priors.latents(mixture, latent_shape, _ROWS)
    (x_hat,) = sources["decoder"].reference.run(z)
    if "encoder" in sources:
        roles.check_mu(sources["encoder"], x_hat, latent_shape)
    graphs = {
        role: _optimised(source, normal[role], z if role == "decoder" else x_hat, measure)
        for role, source in sources.items()
    }
    check = selfcheck or selfchecks.of(sources, z, x_hat, len(classes))
    for graph in graphs.values():
        selfchecks.check(graph.model, check, graph.source.where)
    variants = {"fp32": {role: graph.model for role, graph in graphs.items()}}
    quality = {}
    if int8:
        quantised = int8_graphs.build(
            {role: graph.normal for role, graph in graphs.items() if role != "activations"},
            lambda rows, seed: priors.latents(mixture, latent_shape, rows, seed=seed),
            check=check,
            x=calibration,
            x_range=data.x_range,
            noise=noise,
            force=force,
            note=notes.append,
        )
        variants["int8"], quality["int8"] = quantised.graphs, quantised.quality
    manifest = bundle.Manifest(
        name=name or Path(out).absolute().name,
        data=data,
        latent_shape=latent_shape,
        opset=max(graph.model.opset_imports[""] for graph in graphs.values()),
        model=model,
        likelihood=likelihood or _gaussian(notes.append),
        noise=noise,
        licence=licence,
        provenance=_provenance(sources) if provenance is None else provenance,
        tolerance=selfchecks.tolerance(check, model) if tolerance is None else tolerance,
        quality=quality,
        chunk_rows={role: _chunk(graph, check, measure) for role, graph in graphs.items()},
        row_bytes={role: memory.row_bytes(graph.model) for role, graph in graphs.items()},
        classes=tuple(classes),
        by_class=by_class,
        tiles=_tiles(normal["decoder"], z, x_hat, data, notes.append),
    )
    files = {
        variant: {role: _serialise(graph) for role, graph in by_role.items()}
        for variant, by_role in variants.items()
    }
    written = bundle.write(out, manifest, files, selfcheck=check, prior=mixture)
    return Compiled(written, notes, {role: graph.passes for role, graph in graphs.items()})


def check_out(out: str | os.PathLike[str], *, replace: bool = False) -> None:
    """Check that a bundle may be written to a folder, as `compile` does before any work.

    Raises `InputError` where the folder holds a bundle and `replace` is False, and `BundleError`
    where it holds anything else.
    """
    bundle.check_replaceable(Path(out))
    if not replace and Path(out).is_dir() and any(Path(out).iterdir()):
        raise InputError(
            f"{out}: expected a folder without a bundle, found one; use --replace, or "
            f"replace=True, to replace it, or name another folder"
        )


def _check_int8(model: str, mixture: object) -> None:
    """Raise `InputError` where there is no prior that int8 could be calibrated on."""
    if model == "autoencoder" and mixture is None:
        raise InputError(
            "int8 is calibrated on latents of the prior, and an autoencoder has none: give one "
            "that was fitted to its latents (--prior), or leave out --int8"
        )


def _kind(
    name: str | None,
    x_shape: tuple[int, ...],
    x_range: Range | None,
    decoder: ir.Model,
    where: str,
    note: Note,
) -> Kind:
    """Return the kind of a decoder's data; infer what callers did not say, and note it."""
    if name is None:
        name = infer.kind(x_shape)
        note(f"kind: {name}, as x has shape {x_shape}")
    kind = KINDS[name]
    if x_range is None and kind.drawable:
        x_range = infer.x_range(decoder, where)
        note(f"range: {x_range[0]:g} to {x_range[1]:g}, by the decoder's last operators")
    return kind(x_shape, x_range)


def _gaussian(note: Note) -> dict[str, str | float | list[float]]:
    """Return the default likelihood, and note it."""
    note("likelihood: not given; took a Gaussian of sigma 1, which scores in squared errors")
    return {"name": "gaussian", "sigma": 1.0}


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
    """Measure the tiles of an image's decoder and note them; None where it has none."""
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
    return chunk_rows.measured_chunk(graph.model, check[graph.model.graph.inputs[0].name or ""])


def _provenance(sources: Mapping[str, SourceGraph]) -> dict[str, str | float]:
    """Return the exporters of the graphs and the version of onnx."""
    producers = {
        f"{role}_producer": source.producer for role, source in sources.items() if source.producer
    }
    return {**producers, "onnx": onnx.__version__}


def _serialise(model: ir.Model) -> bytes:
    """Return a graph as a file, checked by onnx."""
    proto = ir.to_proto(model)
    onnx.checker.check_model(proto)
    file: bytes = proto.SerializeToString()
    return file

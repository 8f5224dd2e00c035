"""The road from ONNX graphs to a bundle: read, rewrite, prove, write."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir

from edgevae import bundle
from edgevae.bundle import Tiles
from edgevae.compiler import memory as footprint
from edgevae.compiler import prior as priors
from edgevae.compiler import tiling
from edgevae.compiler.graphs import class_input as numbers
from edgevae.compiler.graphs import parity
from edgevae.compiler.graphs import rename as names
from edgevae.compiler.graphs.parity import Floats
from edgevae.compiler.int8 import variant
from edgevae.compiler.reading import infer as guess
from edgevae.compiler.reading import normalise as front
from edgevae.compiler.reading.ports import Tell
from edgevae.compiler.rewrites import pipeline as passes
from edgevae.compiler.rewrites.pipeline import Row
from edgevae.data import KINDS, Image, Kind, Range
from edgevae.errors import CheckError, InputError

Source = bytes | str | os.PathLike[str]

_ROWS = 8  # of the self-check


class Compiled(NamedTuple):
    """A bundle, what was inferred for it, and the passes that each role's graph went through."""

    bundle: bundle.Bundle
    notes: list[str]
    passes: dict[str, list[Row]]


class _Graph(NamedTuple):
    """A role's graph as given, in normal form, as it will be written, and the passes between."""

    given: front.Given
    normal: ir.Model
    model: ir.Model
    rows: list[Row]


def compile(
    decoder: Source,
    encoder: Source | None = None,
    *,
    out: str | os.PathLike[str],
    name: str | None = None,
    data: Kind | str | None = None,
    x_range: tuple[float, float] | None = None,
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
    """Writes the bundle of a decoder and, where there is one, its encoder: ONNX, opset 11 or later.

    The decoder has one input z and the encoder one input x, float32 with the batch first; bytes are
    a graph, anything else its path. A decoder may be told a class by a second input, int64 (n,),
    whose numbers `classes` names; with `by_class` the prior has as many components for each class,
    those of the first class first. `activations`, of the encoder's x, gives h (N, H) for the score
    `nap`. Outputs are found by their names or order, or are those named by `decoder_output` and
    `encoder_outputs` (mu, logvar); one encoder output of twice the latent's channels is split. What
    is None is inferred: `name` from `out`, `data` ("image" or "vector", never "signal") from the
    shape of x_hat, `x_range` of images from the decoder's last operators, `tolerance` from the size
    of the outputs. `data` is the name of a kind, or a `Kind` that is complete, `x_range` included.
    `prior` is a mixture, or the path of an .npz with weights (K,), means (K, D) and
    logvars (K, D); None is the standard normal. `model` is as in `Bundle`: the encoder of an
    "autoencoder" may have one output, mu, and without a mixture it has no prior. `likelihood` is as
    in `Bundle`; None is a Gaussian with sigma 1. `selfcheck` holds inputs and right outputs, which
    the compiled graphs must give to 1e-5; None takes those of the given graphs. With `measure` a
    pass is kept only where it is faster on this machine. With `int8` the bundle has that variant
    too, its encoder calibrated on `calibration`, float32 (N, *x_shape), N from 2; None takes what
    the decoder makes.

    Raises `InputError` where a graph cannot be taken, `CheckError` where the result would differ
    by more than 1e-5 from the graph that was given, or its pixels in int8 be below 35 dB without
    `force`; nothing is written then.
    """
    notes: list[str] = []
    tell = notes.append
    sources = _read(
        decoder, encoder, activations, decoder_output, encoder_outputs, model, classes, tell
    )
    latent_shape = sources["decoder"].item_shape
    mixture = priors.read(prior, latent_shape)
    if int8:
        _check_int8(model, mixture)
    z = priors.latents(mixture, latent_shape, _ROWS)
    (x_hat,) = sources["decoder"].right.run(z)
    _check_shapes(sources, x_hat, latent_shape)
    normal = {role: front.normal(source, tell) for role, source in sources.items()}
    if not isinstance(data, Kind):
        where = sources["decoder"].where
        data = _kind(data, x_hat.shape[1:], x_range, normal["decoder"], where, tell)
    if likelihood is None:
        likelihood = {"name": "gaussian", "sigma": 1.0}
        tell("likelihood: not given; took a Gaussian of sigma 1, which scores in squared errors")

    graphs = {
        role: _rewritten(source, normal[role], z if role == "decoder" else x_hat, measure)
        for role, source in sources.items()
    }
    check = selfcheck or _answers(graphs, z, x_hat, len(classes))
    for graph in graphs.values():
        _prove(graph, check)
    made = None
    if int8:
        made = variant.make(
            {role: graphs[role].normal for role in ("decoder", "encoder") if role in graphs},
            lambda rows, seed: priors.latents(mixture, latent_shape, rows, seed=seed),
            check=check,
            x=calibration,
            x_range=data.x_range,
            noise=noise,
            force=force,
            tell=tell,
        )
    tiles = None
    if isinstance(data, Image):
        tiles = _tiles(graphs["decoder"], z, x_hat, data.x_range, tell)
    manifest = bundle.Manifest(
        name=name or Path(out).absolute().name,
        data=data,
        latent_shape=latent_shape,
        opset=max(graph.model.opset_imports[""] for graph in graphs.values()),
        model=model,
        likelihood=likelihood,
        noise=noise,
        licence=licence,
        provenance=_provenance(graphs) if provenance is None else provenance,
        tolerance=_tolerance(check, model) if tolerance is None else tolerance,
        quality={"int8": made.quality} if made else {},
        chunk_rows={role: _chunk(graph, check, measure) for role, graph in graphs.items()},
        row_bytes={role: footprint.row_bytes(graph.model) for role, graph in graphs.items()},
        classes=tuple(classes),
        by_class=by_class,
        tiles=tiles,
    )
    files = {"fp32": {role: graph.model for role, graph in graphs.items()}}
    if made:
        files["int8"] = dict(made.graphs)
    serialized = {
        variant: {role: _data(model) for role, model in each.items()}
        for variant, each in files.items()
    }
    written = bundle.write(out, manifest, serialized, selfcheck=check, prior=mixture)
    return Compiled(written, notes, {role: graph.rows for role, graph in graphs.items()})


def _read(
    decoder: Source,
    encoder: Source | None,
    activations: Source | None,
    decoder_output: str | None,
    encoder_outputs: Sequence[str],
    model: str,
    classes: Sequence[str],
    tell: Tell,
) -> dict[str, front.Given]:
    """Read the graph of each role; return them by role."""
    sources = {
        "decoder": front.given(
            _source(decoder),
            "decoder",
            outputs=[decoder_output] if decoder_output else (),
            classes=len(classes),
            tell=tell,
        )
    }
    if encoder is not None:
        sources["encoder"] = front.given(
            _source(encoder),
            "encoder",
            outputs=encoder_outputs,
            latent_shape=sources["decoder"].item_shape,
            point=model == "autoencoder",
            tell=tell,
        )
    if activations is not None:
        sources["activations"] = front.given(_source(activations), "activations", tell=tell)
    return sources


def _check_shapes(
    sources: Mapping[str, front.Given], x_hat: Floats, latent_shape: tuple[int, ...]
) -> None:
    """Raise `InputError` unless all graphs are of the decoder's x and z."""
    for role, source in sources.items():
        if role != "decoder":
            _check_x(source, x_hat)
    if "encoder" in sources:
        _check_mu(sources["encoder"], x_hat, latent_shape)


def _check_int8(model: str, mixture: object) -> None:
    """Raise `InputError` where a bundle has no prior that int8 could be calibrated on."""
    if model == "autoencoder" and mixture is None:
        raise InputError(
            "int8 is calibrated on latents of the prior, and an autoencoder has none: give one "
            "that was fitted to its latents (--prior), or leave out --int8"
        )


def _tiles(
    decoder: _Graph, z: Floats, x_hat: Floats, x_range: tuple[float, float], tell: Tell
) -> Tiles | None:
    """Measure the decoder's tiles and note them; None where it cannot be run on tiles."""
    found = tiling.measure(decoder.normal, z, x_hat, x_range)
    if found is not None:
        tell(f"tiles: {', '.join(f'{key} {value:.3g}' for key, value in found._asdict().items())}")
    return found


def _source(source: Source) -> bytes | Path:
    return source if isinstance(source, bytes) else Path(source)


def _kind(
    name: str | None,
    x_shape: tuple[int, ...],
    x_range: Range | None,
    decoder: ir.Model,
    where: str,
    tell: Tell,
) -> Kind:
    """Return the kind of a decoder's data; infer what the caller did not say, and note it."""
    if name is None:
        name = guess.kind(x_shape)
        tell(f"kind: {name}, as x has shape {x_shape}")
    kind = KINDS[name]
    if x_range is None and kind.drawable:
        x_range = guess.x_range(decoder, where)
        tell(f"range: {x_range[0]:g} to {x_range[1]:g}, by the decoder's last operators")
    return kind(x_shape, x_range)


def _rewritten(given: front.Given, normal: ir.Model, items: Floats, measure: bool) -> _Graph:
    """The graph after every pass that is worth having, proved on random rows and on `items`."""
    random = np.random.default_rng(1).standard_normal((7, *items.shape[1:]), np.float32)
    trial = np.concatenate([random, items])
    answers = given.right.answers(trial)
    model, rows = passes.optimise(normal, answers, measure=measure)
    names.tidy(model)
    error = answers.difference(parity.Runner(model, given.where))
    if not error <= parity.LIMIT:
        raise CheckError(
            f"{given.where}: expected the compiled graph to differ by at most {parity.LIMIT} from "
            f"the one that was given, got {error:.1e}; no bundle was written"
        )
    return _Graph(given, normal, model, rows)


def _check_x(given: front.Given, x_hat: Floats) -> None:
    if given.item_shape != x_hat.shape[1:]:
        raise InputError(
            f"{given.where}: expected a graph of the x that the decoder makes, "
            f"{x_hat.shape[1:]}, got one of {given.item_shape}; are they of one model?"
        )


def _check_mu(encoder: front.Given, x: Floats, latent_shape: tuple[int, ...]) -> None:
    for port, value in zip(("mu", "logvar"), encoder.right.run(x), strict=True):
        if value.shape[1:] != latent_shape:
            raise InputError(
                f"{encoder.where}: expected {port} of the decoder's z, {latent_shape}, got "
                f"{value.shape[1:]}; name the outputs (--outputs MU LOGVAR) or export both graphs "
                f"from one model"
            )


def _answers(
    graphs: Mapping[str, _Graph], z: Floats, x_hat: Floats, classes: int
) -> dict[str, npt.NDArray[Any]]:
    """What the given graphs make of latents from the prior, and of the x that these become."""
    answers: dict[str, npt.NDArray[Any]] = {"z": z, "x_hat": x_hat}
    if classes:
        answers["y"] = numbers.of(z, classes)
    if "encoder" in graphs:
        mu, logvar = graphs["encoder"].given.right.run(x_hat)
        answers |= {"x": x_hat, "mu": mu, "logvar": logvar}
    if "activations" in graphs:
        (h,) = graphs["activations"].given.right.run(x_hat)
        answers |= {"x": x_hat, "h": h}
    return answers


def _prove(graph: _Graph, answers: Mapping[str, npt.NDArray[Any]]) -> None:
    """That the compiled graph gives the right answers, whoever made them."""
    port, *told = graph.model.graph.inputs
    runner = parity.Runner(graph.model, graph.given.where)
    y = answers["y"] if told else None
    outputs = runner.run(np.asarray(answers[str(port.name)], np.float32), y)
    for name, got in zip(runner.outputs, outputs, strict=True):
        error = parity.error(np.asarray(answers[name]), got)
        if not error <= parity.LIMIT:
            raise CheckError(
                f"{graph.given.where}: expected {name} of the self-check to {parity.LIMIT}, got a "
                f"difference of {error:.1e}; no bundle was written"
            )


def _chunk(graph: _Graph, check: Mapping[str, Floats], measure: bool) -> int:
    if not measure:
        return footprint.modelled_chunk(graph.model)
    return footprint.measured_chunk(graph.model, check[graph.model.graph.inputs[0].name or ""])


def _tolerance(answers: Mapping[str, Floats], kind: str) -> float:
    """Ten times what was proved here, since other machines sum in other orders."""
    keys = ("mu", "x_hat") if kind == "autoencoder" else ("mu", "logvar", "x_hat")
    outputs = (answers[key] for key in keys if key in answers)
    largest = max(float(np.abs(output).max()) for output in outputs)
    return 10 * parity.LIMIT * max(1.0, largest)


def _provenance(graphs: Mapping[str, _Graph]) -> dict[str, str | float]:
    producers = {
        f"{role}_producer": graph.given.producer
        for role, graph in graphs.items()
        if graph.given.producer
    }
    return {**producers, "onnx": onnx.__version__}


def _data(model: ir.Model) -> bytes:
    proto = ir.to_proto(model)
    onnx.checker.check_model(proto)
    data: bytes = proto.SerializeToString()
    return data

"""ONNX of any exporter, brought to the form that the passes expect.

One opset, no functions; ports named x -> mu, logvar or z -> x_hat; the first axis "n" wherever the
batch is; constants and shape arithmetic folded, BatchNorm folded into the layer before it; no
names, doc strings or metadata of the exporter's.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import onnx_ir as ir
import onnx_ir.passes.common as common
from onnx import inliner, version_converter

from edgevae.compiler.graphs import class_input as numbers
from edgevae.compiler.graphs import fold, parity, shapes
from edgevae.compiler.graphs import fold_affine as affine
from edgevae.compiler.graphs import rename as names
from edgevae.compiler.reading import channels_last as layout
from edgevae.compiler.reading import explicit_padding as padding
from edgevae.compiler.reading import free_batch as batch
from edgevae.compiler.reading import group_norm, ports
from edgevae.compiler.reading import unsample as noise
from edgevae.compiler.reading.ports import Tell
from edgevae.errors import CheckError, InputError

OPSET = 18
OLDEST = 11
IR_VERSION = 8  # what opset 18 came with: onnxruntime 1.14 and later read it


class Given(NamedTuple):
    """A graph as it was given, but for the names of its ports; `where` names it in errors.

    `right` runs it, on blocks of the batch that it was traced with where it takes no other.
    """

    model: ir.Model
    right: parity.Runner
    where: str
    producer: str

    @property
    def item_shape(self) -> tuple[int, ...]:
        """The shape of one z or x, without the batch axis."""
        return shapes.item(self.model)


def read_graph(
    source: bytes | Path,
    role: str = "decoder",
    *,
    outputs: Sequence[str] = (),
    latent_shape: tuple[int, ...] | None = None,
    tell: Tell = lambda line: None,
) -> ir.Model:
    """The graph of a role, "encoder" or "decoder", in normal form: `normal(given(...))`."""
    return normal(given(source, role, outputs=outputs, latent_shape=latent_shape, tell=tell), tell)


def given(
    source: bytes | Path,
    role: str,
    *,
    outputs: Sequence[str] = (),
    latent_shape: tuple[int, ...] | None = None,
    classes: int = 0,
    point: bool = False,
    tell: Tell = lambda line: None,
) -> Given:
    """Reads an ONNX graph, names its ports, puts channels first, and changes nothing else.

    `outputs` are the names of those that are mu and logvar, or x_hat, where their names and order
    do not say so. One output with twice the channels of `latent_shape` is mu and then logvar; one
    that is drawn from mu and logvar in the graph is cut off; with `point` one output is mu, and
    logvar is -30. A decoder of so many `classes` has a second input y, int64 (n,).
    Raises `InputError` where the graph is not a VAE's `role`, or not ONNX.
    """
    where = role if isinstance(source, bytes) else str(source)
    model = open_graph(source, where)
    producer = f"{model.producer_name or ''} {model.producer_version or ''}".strip()
    names.tidy(model)
    port, *told = ports.inputs(model, role, where)
    ports.check_classes(told, classes, where)
    chosen = ports.choose(model, role, where, outputs, tell)
    if len(chosen) < len(ports.OUTPUTS[role]):
        chosen = _posterior(model, chosen[0], where, latent_shape, point, tell)
    ports.name(model, role, [port, *told], chosen)
    if told:
        numbers.mark(model, classes)
    fold.clean(model)
    names.tidy(model)
    _refuse_noise(model, where)
    if role == "encoder" and layout.channels_last(shapes.item(model)):
        layout.turn_input(model)
        tell(f"{where}: x has its channels last; put them first")
    right, shape = _reference(model, where)
    if role == "decoder" and layout.channels_last(shape):
        layout.turn_output(model)
        tell(f"{where}: x_hat has its channels last, {shape}; put them first")
        right, _ = _reference(model, where)
    return Given(model, right, where, producer)


def open_graph(source: bytes | Path, where: str) -> ir.Model:
    """An ONNX graph as it was given, but for its functions and for where constants are kept.

    Raises `InputError` where it is not ONNX, or of an opset before 11.
    """
    model = ir.from_proto(_parse(source, where))
    common.RemoveInitializersFromInputsPass()(model)
    common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    return model


def _reference(model: ir.Model, where: str) -> tuple[parity.Runner, tuple[int, ...]]:
    """What runs a graph as it is, and the shape of one item of its first output."""
    right = parity.Runner(model, where, exactly=True)
    right.rows = right.rows or batch.traced(model, right)
    first, *_ = right.run(np.zeros((1, *shapes.item(model)), np.float32))
    return right, first.shape[1:]


def normal(given: Given, tell: Tell = lambda line: None) -> ir.Model:
    """The same function in the form that the passes expect.

    Proved on random rows: alone and in batches of 2 and 7 they give what the given graph gives
    for each. Raises `InputError` where they do not, as rows then depend on each other.
    """
    right = given.right
    rows = np.random.default_rng(0).standard_normal((7, *given.item_shape), np.float32)
    _refuse_mixing(right, rows, given.where)
    model = _convert(given.model, given.where, tell)
    port, *told = model.graph.inputs
    port.shape = ir.Shape([shapes.BATCH, *given.item_shape])
    for y in told:
        y.shape = ir.Shape([shapes.BATCH])
    shapes.forget(model)
    fold.constants_alone(model)
    if right.rows is not None:
        batch.free(model, right.rows)
        tell(f"{given.where}: the batch was traced as {right.rows}; made it any")
    padding.settle(model)
    fold.fold(model)
    while affine.rewrite(model):
        pass
    names.tidy(model)
    _set_output_shapes(model, right, rows[:1])
    _prove(right, model, rows, given.where)
    return model


def _set_output_shapes(model: ir.Model, right: parity.Runner, row: parity.Floats) -> None:
    """Give every output whose shape could not be inferred that which it has for one row.

    onnx infers no shapes of some operators, and a graph whose outputs have none is not valid.
    """
    if all(output.shape is not None for output in model.graph.outputs):
        return
    for output, value in zip(model.graph.outputs, right.run(row), strict=True):
        output.dtype = ir.DataType.FLOAT
        output.shape = ir.Shape([shapes.BATCH, *value.shape[1:]])


def _parse(source: bytes | Path, where: str) -> onnx.ModelProto:
    try:
        proto = onnx.load_from_string(source) if isinstance(source, bytes) else onnx.load(source)
        onnx.checker.check_model(proto)
    except Exception as error:  # protobuf's and onnx's own have no other base
        raise InputError(
            f"{where}: expected an ONNX graph, got {error}; export it again"
        ) from error
    opset = next((entry.version for entry in proto.opset_import if not entry.domain), 0)
    if opset < OLDEST:
        raise InputError(
            f"{where}: expected opset {OLDEST} or later, got {opset}; export it again with "
            f"opset_version={OPSET}"
        )
    return inliner.inline_local_functions(proto)


def _convert(given: ir.Model, where: str, tell: Tell) -> ir.Model:
    """A copy of the graph in OPSET, or in its own where onnx cannot convert it."""
    lowered = given.clone()
    group_norm.lower(lowered)
    proto = ir.to_proto(lowered)
    opset = given.opset_imports[""]
    if opset != OPSET:
        try:
            proto = version_converter.convert_version(proto, OPSET)
            onnx.checker.check_model(proto)
        except Exception as error:  # whatever the converter cannot do
            proto = ir.to_proto(lowered)
            tell(f"{where}: left in opset {opset}, since onnx cannot convert it: {error}")
    model = ir.from_proto(proto)
    numbers.keep(given, model)
    if model.opset_imports[""] == OPSET:
        model.ir_version = IR_VERSION
    common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    return model


def _posterior(
    model: ir.Model,
    output: ir.Value,
    where: str,
    latent_shape: tuple[int, ...] | None,
    point: bool,
    tell: Tell,
) -> list[ir.Value]:
    """mu and logvar where an encoder has one output."""
    if pair := noise.unsample(output, where, tell):
        return pair
    if point:
        return [output, ports.point(model, output)]
    return _split(model, output, where, latent_shape, tell)


def _split(
    model: ir.Model,
    output: ir.Value,
    where: str,
    latent_shape: tuple[int, ...] | None,
    tell: Tell,
) -> list[ir.Value]:
    """mu and logvar out of the one output of an encoder."""
    trial = model.clone()
    trial.graph.outputs[:] = [value for value in trial.graph.outputs if value.name == output.name]
    _, shape = _reference(trial, where)
    twice = latent_shape and (2 * latent_shape[0], *latent_shape[1:])
    if shape != twice and (latent_shape or shape[0] % 2):
        want = f"one of {twice}" if twice else "one with an even number of channels"
        raise InputError(
            f"{where}: expected two outputs, mu and logvar, or {want} that holds both, got "
            f"{output.name} of {shape}; export an encoder that returns mu and logvar, or say "
            f"--autoencoder where it returns one latent an item"
        )
    half = shape[0] // 2
    tell(f"{where}: split {output.name}: channels 0..{half - 1} as mu, the rest as logvar")
    return ports.split(model, output, half)


def _refuse_noise(model: ir.Model, where: str) -> None:
    kinds = {node.op_type for node in ir.traversal.RecursiveGraphIterator(model.graph)}
    found = kinds & noise.RANDOM
    if found:
        raise InputError(
            f"{where}: expected a deterministic graph, got {', '.join(sorted(found))}; export mu "
            f"and logvar without sampling, and in eval mode: edgevae draws the noise"
        )


def _refuse_mixing(right: parity.Runner, rows: parity.Floats, where: str) -> None:
    """Where the batch is free, a row must not depend on its neighbours."""
    if right.rows is not None:
        return
    singles = [right.run(row) for row in np.split(rows, len(rows))]
    alone = map(np.concatenate, zip(*singles, strict=True))
    for name, one, many in zip(right.outputs, alone, right.run(rows), strict=True):
        error = parity.error(one, many)
        if not error <= parity.LIMIT:
            raise InputError(
                f"{where}: expected each row to be computed by itself, got {name} that differs by "
                f"{error:.1e} in a batch of {len(rows)}; export in eval mode (model.eval()), as "
                f"BatchNorm in training mode mixes the batch"
            )


def _prove(right: parity.Runner, model: ir.Model, rows: parity.Floats, where: str) -> None:
    fix = "export it with a dynamic batch (dynamic_shapes, dynamic_axes)"
    try:
        error = right.answers(rows).difference(parity.Runner(model, where))
    except InputError as failure:
        if right.rows is None:
            raise
        raise InputError(
            f"{where}: the batch was traced as {right.rows} and cannot be made dynamic; {fix} "
            f"({failure})"
        ) from failure
    if not error <= parity.LIMIT and right.rows is not None:
        raise InputError(
            f"{where}: the batch was traced as {right.rows} and cannot be made dynamic: rows of a "
            f"larger one differ by {error:.1e}; {fix}"
        )
    if not error <= parity.LIMIT:
        raise CheckError(
            f"{where}: folding constants changed the results by {error:.1e}, more than "
            f"{parity.LIMIT}; this is a fault of edgevae's: please report it"
        )

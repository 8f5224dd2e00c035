"""Read an ONNX graph of any exporter, name its ports, and keep it as the reference.

The graph that comes out computes what the file says, operator by operator; `normalise` and the
passes make other graphs of it, which are compared with it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import onnx_ir as ir
import onnx_ir.passes.common as common
from onnx import inliner

from edgevae.compiler.graphs import CheckSession, class_input, fold, rename, shapes
from edgevae.compiler.reading import (
    channels_last,
    expansion,
    fix_size,
    free_batch,
    old_opset,
    ports,
    unsample,
)
from edgevae.compiler.reading.ports import Note, ignore
from edgevae.errors import InputError

Shape = tuple[int, ...]


class SourceGraph(NamedTuple):
    """A graph as it was read, but for the names of its ports; `where` names it in errors.

    `reference` runs it without optimisations, in blocks of the batch that it was traced with where
    it takes no other. `output_shape` is the shape of one item of its first output.
    """

    model: ir.Model
    reference: CheckSession
    output_shape: Shape
    where: str
    producer: str

    @property
    def item_shape(self) -> Shape:
        """The shape of one z or x, without the batch axis."""
        return shapes.item_shape(self.model)


def read(
    source: bytes | Path,
    role: str,
    *,
    outputs: Sequence[str] = (),
    latent_shape: Shape | None = None,
    x_shape: Shape | None = None,
    size: Sequence[int] = (),
    classes: int = 0,
    point: bool = False,
    note: Note = ignore,
) -> SourceGraph:
    """Read an ONNX graph, name its ports and put channels first.

    `role` is "encoder", "decoder" or "activations". `outputs` are the names of mu and logvar, or
    of x_hat, if the graph's own names and order do not say which is which. One output with
    twice the channels of `latent_shape` is split into mu and logvar; one that is drawn from mu and
    logvar in the graph is replaced by these; with `point` one output is mu, and logvar is -30.
    A decoder of images with any height and width gets those that give `size` pixels; an encoder of
    any height and width gets those of `x_shape`. A decoder of `classes` classes has a second
    input y, int64 (n,).

    Raises `InputError` if the source is not ONNX, or not a VAE's graph of this role.
    """
    where = role if isinstance(source, bytes) else str(source)
    model = open_graph(source, where, note)
    producer = f"{model.producer_name or ''} {model.producer_version or ''}".strip()
    rename.tidy(model)
    port, *class_inputs = ports.find_inputs(model, role, where)
    ports.check_classes(class_inputs, classes, where)
    size_is_open = fix_size.has_any_size(port) and role == "decoder" and bool(size)
    if fix_size.has_any_size(port) and x_shape is not None and len(x_shape) == 3:
        fix_size.fix(model, port, x_shape)
    if not size_is_open:
        ports.check_item_shape(port, where)
    chosen = ports.choose(model, role, where, outputs, note)
    if len(chosen) < len(ports.OUTPUTS[role]):
        chosen = _posterior(model, chosen[0], where, latent_shape, point, note)
    ports.set_ports(model, role, [port, *class_inputs], chosen)
    if class_inputs:
        class_input.mark(model, classes)
    fold.clean(model)
    rename.tidy(model)
    _refuse_noise(model, where)
    if size_is_open:
        channels = fix_size.dims(port, where)[0] or 0
        fix_size.fix_decoder(model, port, channels, size, where, note)
    return _with_channels_first(model, role, size, where, producer, note)


def open_graph(source: bytes | Path, where: str, note: Note = ignore) -> ir.Model:
    """Open an ONNX graph; inline its functions and turn its Constant nodes into initializers.

    Raises `InputError` if it is not ONNX, or of an opset before 11 that cannot be converted, or if
    inlining or running it might not end.
    """
    try:
        proto = onnx.load_from_string(source) if isinstance(source, bytes) else onnx.load(source)
        expansion.check(proto, where)
        onnx.checker.check_model(proto)
    except InputError:
        raise
    except OSError as error:
        raise InputError(
            f"{where}: expected a file that can be read: {error.strerror or error}"
        ) from error
    except Exception as error:  # protobuf's and onnx's own have no other base
        raise InputError(
            f"{where}: expected an ONNX graph, got {error}; export it again"
        ) from error
    model = ir.from_proto(inliner.inline_local_functions(old_opset.convert(proto, where, note)))
    common.RemoveInitializersFromInputsPass()(model)
    common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    return model


def _with_channels_first(
    model: ir.Model, role: str, size: Sequence[int], where: str, producer: str, note: Note
) -> SourceGraph:
    """Put the channels of images first, and open the session that later graphs are held to."""
    if role == "encoder" and channels_last.channels_last(shapes.item_shape(model)):
        channels_last.turn_input(model)
        note(f"{where}: x has its channels last; put them first")
    reference, shape = _reference(model, where)
    if role == "decoder" and channels_last.channels_last(shape):
        channels_last.turn_output(model)
        note(f"{where}: x_hat has its channels last, {shape}; put them first")
        reference, shape = _reference(model, where)
    if role == "decoder":
        fix_size.check(size, shape, where)
    return SourceGraph(model, reference, shape, where, producer)


def _reference(model: ir.Model, where: str) -> tuple[CheckSession, Shape]:
    """Return a session of a graph as it is, and the shape of one item of its first output."""
    reference = CheckSession(model, where, exactly=True)
    reference.rows = reference.rows or free_batch.traced_batch(model, reference)
    first, *_ = reference.run(np.zeros((1, *shapes.item_shape(model)), np.float32))
    return reference, first.shape[1:]


def _posterior(
    model: ir.Model,
    output: ir.Value,
    where: str,
    latent_shape: Shape | None,
    point: bool,
    note: Note,
) -> list[ir.Value]:
    """Return mu and logvar of an encoder that has one output."""
    if pair := unsample.unsample(output, where, note):
        return pair
    if point:
        return [output, ports.point_logvar(model, output)]
    return _split(model, output, where, latent_shape, note)


def _split(
    model: ir.Model, output: ir.Value, where: str, latent_shape: Shape | None, note: Note
) -> list[ir.Value]:
    """Return the two halves of an encoder's one output as mu and logvar."""
    trial = model.clone()
    trial.graph.outputs[:] = [value for value in trial.graph.outputs if value.name == output.name]
    _, shape = _reference(trial, where)
    twice = latent_shape and (2 * latent_shape[0], *latent_shape[1:])
    if shape != twice and (latent_shape or shape[0] % 2):
        want = f"one of {twice}" if twice else "one with an even number of channels"
        raise InputError(
            f"{where}: expected two outputs, mu and logvar, or {want} that holds both, got "
            f"{output.name} of {shape}; export an encoder that returns mu and logvar, or pass "
            f"--autoencoder if it returns one latent for each item"
        )
    half = shape[0] // 2
    note(f"{where}: split {output.name}: channels 0..{half - 1} as mu, the rest as logvar")
    return ports.split(model, output, half)


def _refuse_noise(model: ir.Model, where: str) -> None:
    operators = {node.op_type for node in ir.traversal.RecursiveGraphIterator(model.graph)}
    random = operators & unsample.RANDOM
    if random:
        raise InputError(
            f"{where}: expected a deterministic graph, got {', '.join(sorted(random))}; export mu "
            f"and logvar without sampling, and in eval mode: edgevae draws the noise"
        )

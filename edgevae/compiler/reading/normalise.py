"""Bring a graph of any exporter to the normal form that the passes expect.

The normal form has one opset and no functions; ports named x -> mu, logvar or z -> x_hat; "n" as
the first axis of every value that has a row for each item; constants and shape arithmetic folded;
BatchNorm folded into the layer before it; none of the exporter's names, doc strings or metadata.
"""

import numpy as np
import onnx
import onnx_ir as ir
import onnx_ir.passes.common as common
from onnx import version_converter

from edgevae.compiler.graphs import (
    LIMIT,
    CheckSession,
    Floats,
    class_input,
    fold,
    fold_affine,
    parity,
    rename,
    shapes,
)
from edgevae.compiler.reading import explicit_padding, finite, free_batch, group_norm
from edgevae.compiler.reading.ports import Note
from edgevae.compiler.reading.source_graph import SourceGraph
from edgevae.errors import CheckError, InputError

OPSET = 18
IR_VERSION = 8  # that of opset 18, which onnxruntime 1.14 and later read

_ROWS = 7  # of random numbers, on which a graph is compared with its source


def simplify(source: SourceGraph, note: Note) -> ir.Model:
    """Return the graph in normal form without running it; `verify` must follow."""
    model = _convert(source.model, source.where, note)
    port, *class_inputs = model.graph.inputs
    port.shape = ir.Shape([shapes.BATCH, *source.item_shape])
    for y in class_inputs:
        y.shape = ir.Shape([shapes.BATCH])
    shapes.forget(model)
    fold.constants_alone(model)
    if source.reference.rows is not None:
        free_batch.free(model, source.reference.rows)
        note(f"{source.where}: the batch was traced as {source.reference.rows}; made it dynamic")
    explicit_padding.set_pads(model)
    fold.fold(model)
    while fold_affine.rewrite(model):
        pass
    finite.make_finite(model, source.where)
    rename.tidy(model)
    _set_output_shapes(model, source.reference)
    return model


def verify(source: SourceGraph, model: ir.Model) -> None:
    """Compare a graph in normal form with its source: alone, and in batches of 2 and 7.

    Raises `InputError` if rows depend on each other, or the batch cannot be freed, and
    `CheckError` if the results differ for no such reason.
    """
    rows = np.random.default_rng(0).standard_normal((_ROWS, *source.item_shape), np.float32)
    _refuse_mixing(source, rows)
    traced, where = source.reference.rows, source.where
    fix = "export it with a dynamic batch (dynamic_shapes, dynamic_axes)"
    try:
        error = source.reference.expected(rows).difference(CheckSession(model, where))
    except InputError as failure:
        if traced is None:
            raise
        raise InputError(
            f"{where}: the batch was traced as {traced} and cannot be made dynamic; {fix} "
            f"({failure})"
        ) from failure
    if error <= LIMIT:
        return
    if traced is not None:
        raise InputError(
            f"{where}: the batch was traced as {traced} and cannot be made dynamic: rows of a "
            f"larger one differ by {error:.1e}; {fix}"
        )
    raise CheckError(
        f"{where}: folding constants changed the results by {error:.1e}, more than "
        f"{LIMIT}; this is a defect of edgevae: please report it"
    )


def _convert(source: ir.Model, where: str, note: Note) -> ir.Model:
    """Return a copy of the graph in OPSET, or in its own if onnx cannot convert it."""
    lowered = source.clone()
    group_norm.lower(lowered)
    proto = ir.to_proto(lowered)
    opset = source.opset_imports[""]
    if opset != OPSET:
        try:
            proto = version_converter.convert_version(proto, OPSET)
            onnx.checker.check_model(proto)
        except Exception as error:  # the converter's errors have no other base
            proto = ir.to_proto(lowered)
            note(f"{where}: left in opset {opset}, since onnx cannot convert it: {error}")
    model = ir.from_proto(proto)
    class_input.keep(source, model)
    if model.opset_imports[""] == OPSET:
        model.ir_version = IR_VERSION
    common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    return model


def _set_output_shapes(model: ir.Model, reference: CheckSession) -> None:
    """Give every output whose shape could not be inferred the one that the reference returns.

    onnx infers no shape of some operators, and a graph with an output without one is not valid.
    """
    if all(output.shape is not None for output in model.graph.outputs):
        return
    row = np.zeros((1, *shapes.item_shape(model)), np.float32)
    for output, value in zip(model.graph.outputs, reference.run(row), strict=True):
        output.dtype = ir.DataType.FLOAT
        output.shape = ir.Shape([shapes.BATCH, *value.shape[1:]])


def _refuse_mixing(source: SourceGraph, rows: Floats) -> None:
    """Raise `InputError` if the batch is free and a row depends on its neighbours."""
    reference = source.reference
    if reference.rows is not None:
        return
    singles = [reference.run(row) for row in np.split(rows, len(rows))]
    alone = map(np.concatenate, zip(*singles, strict=True))
    for name, one, many in zip(reference.outputs, alone, reference.run(rows), strict=True):
        error = parity.relative_error(one, many)
        if not error <= LIMIT:
            raise InputError(
                f"{source.where}: expected each row to be computed by itself, got {name} that "
                f"differs by {error:.1e} in a batch of {len(rows)}; export in eval mode "
                f"(model.eval()), as BatchNorm in training mode mixes the batch"
            )

"""Infer and read the shape of each value, with "n" for the batch."""

from collections.abc import Sequence

import onnx
import onnx_ir as ir
from onnx import shape_inference

BATCH = "n"


def infer(model: ir.Model) -> None:
    """Set the shape and type of every value of the main graph, as far as they can be inferred.

    Shapes are inferred at batches of 2 and 3. A size that is the same at both is a constant, one
    that equals the batch is "n", any other is unknown. Numbers are used as onnx loses symbolic
    sizes at many operators.
    """
    proto = ir.to_proto(model)
    two, three = _at(proto, 2), _at(proto, 3)
    for node in model.graph:
        for value in node.outputs:
            name = value.name or ""
            if name not in two or name not in three:
                continue
            shape = _merge(_sizes(two[name]), _sizes(three[name]))
            if shape is None and value.is_graph_output():
                continue  # a port keeps its shape
            value.dtype = ir.DataType(two[name].elem_type)
            value.shape = shape


def forget(model: ir.Model) -> None:
    """Remove the shapes that the exporter noted, as its batch may be among them."""
    for node in model.graph:
        for value in node.outputs:
            value.shape = None


def at(model: ir.Model, batch: int) -> dict[str, list[int | None]]:
    """Return the sizes of each value by name, at a batch of `batch` rows; None if unknown."""
    return {name: _sizes(tensor) or [] for name, tensor in _at(ir.to_proto(model), batch).items()}


def item_shape(model: ir.Model) -> tuple[int, ...]:
    """Return the shape of one item of the graph's input, without the batch axis."""
    dims = sizes(model.graph.inputs[0]) or []
    return tuple(size for size in dims[1:] if isinstance(size, int))


def sizes(value: ir.Value | None) -> list[int | str | None] | None:
    """Return a shape as numbers, names and None; None if even the rank is unknown."""
    if value is None or value.shape is None:
        return None
    return [size if isinstance(size, int) else size.value for size in value.shape]


def spatial(value: ir.Value | None) -> list[int] | None:
    """Return the sizes after batch and channels; None unless all are known."""
    known = sizes(value)
    if known is None or len(known) < 3:
        return None
    numbers = [size for size in known[2:] if isinstance(size, int)]
    return numbers if len(numbers) == len(known) - 2 else None


def _at(proto: onnx.ModelProto, batch: int) -> dict[str, onnx.TypeProto.Tensor]:
    trial = onnx.ModelProto()
    trial.CopyFrom(proto)
    initializers = {tensor.name for tensor in trial.graph.initializer}
    for port in trial.graph.input:
        if port.name not in initializers:
            port.type.tensor_type.shape.dim[0].dim_value = batch
    for port in trial.graph.output:
        port.type.tensor_type.ClearField("shape")
    del trial.graph.value_info[:]
    inferred = shape_inference.infer_shapes(trial, data_prop=True)
    values = (*inferred.graph.input, *inferred.graph.value_info, *inferred.graph.output)
    return {value.name: value.type.tensor_type for value in values}


def _sizes(tensor: onnx.TypeProto.Tensor) -> list[int | None] | None:
    if not tensor.HasField("shape"):
        return None
    return [dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim]


def _merge(two: Sequence[int | None] | None, three: Sequence[int | None] | None) -> ir.Shape | None:
    if two is None or three is None or len(two) != len(three):
        return None
    return ir.Shape(
        a if a == b else BATCH if (a, b) == (2, 3) else None
        for a, b in zip(two, three, strict=True)
    )

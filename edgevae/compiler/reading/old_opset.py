"""Convert graphs of opsets before 11 to opset 11 by onnx's version converter.

The converter drops how Upsample and Resize place and round pixels, which changes all but nearest
upsampling by whole factors; this module writes it. It then runs both graphs on random inputs and
accepts the conversion only if the outputs agree. Later opsets are converted by `normalise`,
which compares both graphs itself.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, version_converter

from edgevae.compiler.graphs import LIMIT, cpu_session, parity
from edgevae.compiler.reading.ports import Note
from edgevae.errors import InputError

OLDEST = 11  # the first opset whose operators the other modules know
_IR_VERSION = 6  # what opset 11 came with

_SIDES = (8, 64, 256)  # tried for an axis of any size; 256 is for images into deep encoders
_ROWS = 2
_TYPES = {TensorProto.FLOAT, TensorProto.INT64}

Feeds = dict[str, npt.NDArray[Any]]


def convert(proto: onnx.ModelProto, where: str, note: Note) -> onnx.ModelProto:
    """Return the graph in opset 11, or the graph itself if its opset is 11 or later.

    Raises `InputError` if the converter fails, or its result computes something else.
    """
    opset = next((entry.version for entry in proto.opset_import if not entry.domain), 0)
    if opset >= OLDEST:
        return proto
    refusal = (
        f"{where}: expected opset {OLDEST} or later, got {opset}, and onnx's version converter "
        f"{{}}; export the graph again with opset_version=18"
    )
    try:
        converted = version_converter.convert_version(proto, OLDEST)
        # Before version 4, constants are inputs.
        converted.ir_version = max(converted.ir_version, _IR_VERSION)
        _place_pixels(converted)
        onnx.checker.check_model(converted)
    except Exception as error:  # the converter's errors have no other base
        raise InputError(refusal.format(f"cannot convert it ({error})")) from error
    try:
        difference = _difference(proto, converted)
    except Exception as error:  # nor have onnxruntime's
        raise InputError(
            refusal.format(f"converted it to a graph that cannot be compared with it ({error})")
        ) from error
    if not difference <= LIMIT:
        raise InputError(refusal.format(f"changes its results by {difference:.1e}"))
    note(f"{where}: converted from opset {opset} to {OLDEST}; the results are the same")
    return converted


def _place_pixels(converted: onnx.ModelProto) -> None:
    """Write into every Resize the placing and rounding of pixels of operators before opset 11."""
    for node in converted.graph.node:
        if node.op_type == "Resize":
            rules = {
                "coordinate_transformation_mode": "asymmetric",
                "nearest_mode": "floor",
            }
            kept = [attribute for attribute in node.attribute if attribute.name not in rules]
            del node.attribute[:]
            node.attribute.extend(kept)
            node.attribute.extend(helper.make_attribute(name, to) for name, to in rules.items())


def _difference(before: onnx.ModelProto, after: onnx.ModelProto) -> float:
    """Return the largest `parity.relative_error` of any output, on random inputs."""
    first = cpu_session.session(before.SerializeToString(), exactly=True)
    for side in _SIDES:
        feeds = _feeds(before, side)
        try:
            expected = first.run(None, feeds)
        except Exception:  # the graph does not take this size
            if side == _SIDES[-1]:
                raise
        else:
            break
    got = cpu_session.session(after.SerializeToString(), exactly=True).run(None, feeds)
    pairs = zip(expected, got, strict=True)
    return max(parity.relative_error(*pair) for pair in pairs)


def _feeds(proto: onnx.ModelProto, side: int) -> Feeds:
    """Return random numbers for float32 inputs and zeros for int64 ones, as class numbers are."""
    random = np.random.default_rng(0)
    constants = {tensor.name for tensor in proto.graph.initializer}
    feeds: Feeds = {}
    for port in proto.graph.input:
        tensor = port.type.tensor_type
        if port.name in constants:
            continue
        if tensor.elem_type not in _TYPES:
            raise ValueError(f"input {port.name} is neither float32 nor int64")
        shape = [
            dim.dim_value or (side if axis else _ROWS) for axis, dim in enumerate(tensor.shape.dim)
        ]
        if tensor.elem_type == TensorProto.FLOAT:
            feeds[port.name] = random.standard_normal(shape, np.float32)
        else:
            feeds[port.name] = np.zeros(shape, np.int64)
    return feeds

"""Model the memory of one row, for the plans of the engine."""

import math

import onnx_ir as ir

from edgevae.compiler.graphs import shapes

# onnxruntime's arena, with the workspaces of its convolutions, took two to three times the bytes
# of the values alive.
_ARENA = 3
# A chunk whose values fill this many bytes was among the best for each measured decoder, except
# linear ones, which gain nothing from more than `_MAX_ROWS` rows.
_CACHE = 4 << 20
_MAX_ROWS = 256


def row_bytes(model: ir.Model) -> int:
    """Return the bytes that one more row in flight takes."""
    return _ARENA * _live_bytes(model)


def modelled_chunk(model: ir.Model) -> int:
    """Return the rows for one worker at a time, by the memory that their values take."""
    return max(1, min(_MAX_ROWS, _CACHE // _live_bytes(model)))


def _live_bytes(model: ir.Model) -> int:
    """Return the largest number of bytes of one row's float32 values that are alive at once.

    A value lives from the node that computes it to the last node that reads it. Values that depend
    on constants alone, such as dequantised weights, are not a row's.
    """
    numbers = {
        name: math.prod(size for size in shape if size is not None)
        for name, shape in shapes.at(model, 1).items()
    }
    nodes = list(model.graph)
    last = {value.name: i for i, node in enumerate(nodes) for value in node.inputs if value}
    varying = {value.name for value in model.graph.inputs}
    for node in nodes:
        if any(value and value.name in varying for value in node.inputs):
            varying |= {value.name for value in node.outputs}
    computed = {
        value.name: numbers.get(value.name or "", 0) if value.name in varying else 0
        for node in nodes
        for value in node.outputs
    }
    alive = largest = 0
    for i, node in enumerate(nodes):
        alive += sum(computed[value.name] for value in node.outputs)
        largest = max(largest, alive)
        dead = {value.name for value in node.inputs if value and last[value.name] == i}
        dead |= {value.name for value in node.outputs if value.name not in last}
        alive -= sum(computed.get(name, 0) for name in dead)
    return max(4, 4 * largest)

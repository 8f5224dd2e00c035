"""Bring images whose channels are last, as in Keras, to (C, H, W)."""

import onnx_ir as ir


def channels_last(shape: tuple[int, ...]) -> bool:
    """Return True if items are images (H, W, 1 or 3) of at least 8 pixels a side."""
    return len(shape) == 3 and shape[2] in (1, 3) and min(shape[:2]) >= 8


def turn_output(model: ir.Model) -> None:
    """Transpose the graph's one output to channels first; it keeps its name."""
    (output,) = model.graph.outputs
    name = output.name
    node = ir.node("Transpose", [output], {"perm": [0, 3, 1, 2]})
    model.graph.append(node)
    output.name, node.outputs[0].name = f"{name}.channels_last", name
    node.outputs[0].type = output.type
    model.graph.outputs[:] = node.outputs


def turn_input(model: ir.Model) -> None:
    """Make the graph's one input channels first; it keeps its name."""
    (old,) = model.graph.inputs
    assert old.shape is not None
    rows, height, width, channels = old.shape
    new = ir.Value(name=old.name, type=old.type, shape=ir.Shape([rows, channels, height, width]))
    node = ir.node("Transpose", [new], {"perm": [0, 2, 3, 1]})
    old.name = f"{old.name}.channels_last"
    old.replace_all_uses_with(node.outputs[0])
    model.graph.inputs[:] = [new]
    model.graph.insert_before(model.graph[0], node)

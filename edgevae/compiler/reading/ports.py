"""Find which inputs and outputs of a graph are x, mu, logvar, z and x_hat."""

import re
from collections.abc import Callable, Sequence

import numpy as np
import onnx_ir as ir

from edgevae.errors import InputError
from edgevae.sampling import MIN_LOGVAR

Note = Callable[[str], None]  # takes a line for the user about an assumption


def ignore(line: str) -> None:
    """Drop a note."""


INPUT = {"encoder": "x", "decoder": "z", "activations": "x"}
OUTPUTS = {"encoder": ("mu", "logvar"), "decoder": ("x_hat",), "activations": ("h",)}
CLASSES = "y"  # a conditional decoder's second input

# Common names of ports, beside those of edgevae.
_LIKE = {
    "mu": r"(z_?)?(mu|mean|loc)s?",
    "logvar": r"(z_?)?log_?(var(iance)?|sigma_?(sq|2))s?",
    "x_hat": r"x_?hat|recon(s|structed|struction)?|image|sample|decoded|x_?recon",
    "h": r"h|hidden|activations?",
}
_DEVIATION = re.compile(r"(z_?)?(std(dev)?|sigma|scale|stddevs?|log_?(std|sigma|scale))s?")


def check_item_shape(port: ir.Value, where: str) -> None:
    """Raise `InputError` unless all sizes of an input but the batch are fixed."""
    dims = list(port.shape or ())
    if len(dims) < 2 or not all(isinstance(size, int) and size > 0 for size in dims[1:]):
        shown = "unknown" if port.shape is None else str(port.shape)
        fix = ", or say the height and width of the images: --size 256" if len(dims) == 4 else ""
        raise InputError(
            f"{where}: expected input {port.name} to have a batch axis and then fixed sizes, got "
            f"shape {shown}; export for items of one size, with only the batch dynamic{fix}"
        )


def find_inputs(model: ir.Model, role: str, where: str) -> list[ir.Value]:
    """Return the graph's float32 input and, for a conditional decoder, its class input.

    The class input is int64 (n,). Raises `InputError` if there are other inputs.
    """
    inputs = [value for value in model.graph.inputs if not value.is_initializer()]
    class_inputs = [value for value in inputs if role == "decoder" and _of_classes(value)]
    rest = [value for value in inputs if value not in class_inputs]
    if len(rest) != 1 or len(class_inputs) > 1:
        names = ", ".join(str(value.name) for value in inputs) or "none"
        raise InputError(
            f"{where}: expected one input, {INPUT[role]}, got {names}; export a module whose "
            f"forward takes {INPUT[role]} alone, or a decoder's z and its class y, int64 (n,) "
            f"(noise cannot be an input)"
        )
    value = rest[0]
    _check_float32(value, where)
    return [value, *class_inputs]


def check_classes(class_inputs: Sequence[ir.Value], classes: int, where: str) -> None:
    """Raise `InputError` unless there are both classes and a class input, or neither."""
    if class_inputs and not classes:
        raise InputError(
            f"{where}: expected the names of the classes that input {class_inputs[0].name} "
            f"numbers, got none; name them: --classes NAME ..., or classes=[...]"
        )
    if classes and not class_inputs:
        raise InputError(
            f"{where}: expected a second input, y, int64 (n,), for {classes} classes, got none; "
            f"export a decoder whose forward takes z and y, or leave the classes out"
        )


def choose(
    model: ir.Model, role: str, where: str, requested: Sequence[str], note: Note
) -> list[ir.Value]:
    """Return the outputs that are mu and logvar, or x_hat; one if one tensor holds both.

    They are the ones named by `requested`, else those whose names resemble a port's, else the
    first ones.
    """
    outputs = list(model.graph.outputs)
    named = {str(value.name): value for value in outputs}
    wanted = OUTPUTS[role]
    if requested:
        missing = [name for name in requested if name not in named]
        if missing or len(requested) > len(wanted):
            raise InputError(
                f"{where}: expected outputs for {', '.join(wanted)} among {', '.join(named)}, got "
                f"{', '.join(requested)}"
            )
        chosen = [named[name] for name in requested]
    else:
        names = [_like(name, named) for name in wanted]
        chosen = [named[name] for name in names if name is not None]
        if len(chosen) != len(wanted):
            chosen = outputs[: len(wanted)]
            _refuse_deviation(chosen, where)
    for value in chosen:
        _check_float32(value, where)
    if len(outputs) > 1:
        pairs = (f"{value.name} as {name}" for name, value in zip(wanted, chosen, strict=False))
        note(f"{where}: took {', '.join(pairs)}")
    if unused := [name for name, value in named.items() if value not in chosen]:
        note(f"{where}: left out {', '.join(unused)}")
    return chosen


def split(model: ir.Model, value: ir.Value, half: int) -> list[ir.Value]:
    """Return two new values: the first `half` channels of a tensor and the next `half`."""
    return [_slice(model, value, first, first + half) for first in (0, half)]


def point_logvar(model: ir.Model, mu: ir.Value) -> ir.Value:
    """Return a new value of mu's shape, -30 everywhere: the logvar of a point posterior."""
    shape = ir.node("Shape", [mu])
    least = ir.tensor(np.array([MIN_LOGVAR], np.float32))
    node = ir.node("ConstantOfShape", [shape.outputs[0]], {"value": least})
    node.outputs[0].name, node.outputs[0].type = f"{mu.name}.point", mu.type
    model.graph.extend([shape, node])
    return node.outputs[0]


def set_ports(
    model: ir.Model, role: str, inputs: Sequence[ir.Value], outputs: Sequence[ir.Value]
) -> None:
    """Make these values the graph's ports and give them edgevae's names."""
    graph = model.graph
    graph.outputs[:] = [_own(model, value, outputs[:i]) for i, value in enumerate(outputs)]
    graph.inputs[:] = inputs
    for value, port in zip(inputs, (INPUT[role], CLASSES), strict=False):
        value.name = port
    for output, port in zip(graph.outputs, OUTPUTS[role], strict=True):
        output.name = port


def _like(port: str, named: dict[str, ir.Value]) -> str | None:
    """Return the only name that resembles a port's; None if none or several do."""
    pattern = re.compile(_LIKE[port], re.IGNORECASE)
    matches = [name for name in named if name == port] or [
        name for name in named if pattern.fullmatch(name)
    ]
    return matches[0] if len(matches) == 1 else None


def _refuse_deviation(values: Sequence[ir.Value], where: str) -> None:
    for value in values:
        if _DEVIATION.fullmatch(str(value.name).lower()):
            raise InputError(
                f"{where}: expected mu and logvar, the log of the variance, got output "
                f"{value.name}, which looks like a standard deviation; export 2 * log(sigma), or "
                f"name the outputs (--outputs) if it is a log-variance"
            )


def _of_classes(value: ir.Value) -> bool:
    return value.dtype == ir.DataType.INT64 and value.shape is not None and len(value.shape) == 1


def _check_float32(value: ir.Value, where: str) -> None:
    if value.dtype != ir.DataType.FLOAT:
        got = "an unknown type" if value.dtype is None else value.dtype.name.lower()
        raise InputError(
            f"{where}: expected {value.name} to be float32, got {got}; export the model in "
            f"float32 (model.float())"
        )


def _own(model: ir.Model, value: ir.Value, before: Sequence[ir.Value]) -> ir.Value:
    """Return the value, or a copy if it is an input, a constant or an output already."""
    if value.producer() is not None and value not in before:
        return value
    node = ir.node("Identity", [value])
    node.outputs[0].type, node.outputs[0].shape = value.type, value.shape
    model.graph.append(node)
    return node.outputs[0]


def _slice(model: ir.Model, value: ir.Value, first: int, last: int) -> ir.Value:
    graph = model.graph
    bounds = []
    for key, number in (("starts", first), ("ends", last), ("axes", 1)):
        tensor = ir.tensor(np.array([number], np.int64))
        bound = ir.val(f"{value.name}.{key}.{first}", const_value=tensor)
        graph.register_initializer(bound)
        bounds.append(bound)
    node = ir.node("Slice", [value, *bounds])
    node.outputs[0].name = f"{value.name}.{first}"
    node.outputs[0].type = value.type
    graph.append(node)
    return node.outputs[0]

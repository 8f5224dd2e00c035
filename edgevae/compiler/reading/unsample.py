"""Remove noise from an encoder's graph.

edgevae draws the noise outside of the graph, so that graphs are deterministic.
"""

import numpy as np
import onnx_ir as ir

from edgevae.compiler.graphs import constants
from edgevae.compiler.reading.ports import Note

RANDOM = {"RandomNormal", "RandomUniform", "Bernoulli", "Multinomial"}
RANDOM |= {"RandomNormalLike", "RandomUniformLike"}

_SAME = ("Cast", "Identity")


def unsample(z: ir.Value, where: str, note: Note) -> list[ir.Value] | None:
    """Return mu and logvar of z = mu + exp(logvar / 2) * eps, eps standard normal; else None.

    diffusers' own script wrote encoders that end so, and so did optimum's exporter before it
    returned `latent_parameters`.
    """
    for mu, product in _operands(z, "Add"):
        for deviation, eps in _operands(product, "Mul"):
            exponent = _input(deviation, "Exp")
            if mu is not None and _is_eps(eps) and exponent is not None:
                logvar = _twice(exponent)
                if logvar is not None:
                    note(f"{where}: {z.name} is drawn in the graph; took its mu and logvar")
                    return [mu, logvar]
    return None


def _operands(value: ir.Value | None, kind: str) -> list[tuple[ir.Value | None, ir.Value | None]]:
    """Return both orders of the inputs of the node of this kind that computes a value."""
    node = None if value is None else value.producer()
    if node is None or node.op_type != kind:
        return []
    left, right = node.inputs
    return [(left, right), (right, left)]


def _input(value: ir.Value | None, kind: str) -> ir.Value | None:
    node = None if value is None else value.producer()
    return node.inputs[0] if node is not None and node.op_type == kind else None


def _is_eps(value: ir.Value | None) -> bool:
    node = None if value is None else value.producer()
    if node is None:
        return False
    if node.op_type in _SAME:
        return _is_eps(node.inputs[0])
    mean, scale = node.attributes.get_float("mean", 0.0), node.attributes.get_float("scale", 1.0)
    return node.op_type in ("RandomNormal", "RandomNormalLike") and (mean, scale) == (0.0, 1.0)


def _twice(value: ir.Value) -> ir.Value | None:
    """Return the value that `value` is half of; None if it is not a half."""
    halves = [(pair, 0.5) for pair in _operands(value, "Mul")]
    halves += [(pair, 2.0) for pair in _operands(value, "Div")[:1]]
    for (operand, number), expected in halves:
        array = constants.value(number)
        if array is not None and array.size == 1 and np.all(array == expected):
            return operand
    return None

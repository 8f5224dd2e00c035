"""Replace nodes of a graph by new ones."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import onnx_ir as ir

from edgevae.compiler.graphs import constants

Operand: TypeAlias = ir.Value | constants.Array | None


class Edit:
    """New nodes that are outside the graph until `replace` puts them in the place of old ones."""

    def __init__(self, graph: ir.Graph) -> None:
        self._graph = graph
        self._nodes: list[ir.Node] = []

    def op(self, kind: str, *inputs: Operand, domain: str = "", **attributes: Any) -> ir.Value:
        """Return the output of a new node; an array among its inputs becomes an initializer."""
        values = [self._value(operand, kind) for operand in inputs]
        self._nodes.append(node := ir.node(kind, values, attributes, domain=domain))
        return node.outputs[0]

    def like(self, node: ir.Node, first: ir.Value) -> ir.Value:
        """Return the output of a copy of `node` that has another first input."""
        copy = ir.Node(
            node.domain, node.op_type, [first, *node.inputs[1:]], [*node.attributes.values()]
        )
        self._nodes.append(copy)
        return copy.outputs[0]

    def replace(self, old: Sequence[ir.Node], by: ir.Value) -> None:
        """Put the new nodes in the place of `old`, and `by` in that of their last output."""
        last = old[-1]
        ir.convenience.replace_nodes_and_values(
            self._graph, last, [last], self._nodes, [last.outputs[0]], [by]
        )
        for node in reversed(old[:-1]):
            self._graph.remove(node, safe=True)
        self._nodes = []

    def _value(self, operand: Operand, kind: str) -> ir.Value | None:
        if isinstance(operand, np.ndarray):
            return constants.new(self._graph, operand, f"{kind.lower()}.constant")
        return operand


def only_user(value: ir.Value) -> ir.Node | None:
    """Return the node that alone reads a value, and reads it once; None for any other value."""
    uses = value.uses()
    if len(uses) != 1 or value.is_graph_output():
        return None
    return next(iter(uses)).node

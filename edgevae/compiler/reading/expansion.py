"""Refuse graphs that would keep the compiler busy for ever: loops, or functions without end."""

from collections.abc import Iterable

import onnx

from edgevae.errors import InputError

_MOST_NODES = 1 << 18  # after every function is replaced by its nodes
_DEEPEST = 200  # functions and graphs inside each other

_Key = tuple[str, str, str]


def check(proto: onnx.ModelProto, where: str) -> None:
    """Raise `InputError` for a Loop, and for functions that expand to too many nodes."""
    _Expansion(proto, where).nodes(proto.graph.node, 0)


class _Expansion:
    """The number of nodes that each function of a model stands for."""

    def __init__(self, proto: onnx.ModelProto, where: str) -> None:
        self._functions = {
            (each.domain, each.name, each.overload): each for each in proto.functions
        }
        self._sizes: dict[_Key, int] = {}
        self._open: set[_Key] = set()
        self._where = where

    def nodes(self, nodes: Iterable[onnx.NodeProto], depth: int) -> int:
        """Return the number of nodes once every function is replaced by its own."""
        if depth > _DEEPEST:
            raise self._refusal(f"graphs or functions that are nested more than {_DEEPEST} deep")
        total = 0
        for node in nodes:
            total += self._node(node, depth)
            if total > _MOST_NODES:
                raise self._refusal(f"functions that stand for more than {_MOST_NODES} nodes")
        return total

    def _node(self, node: onnx.NodeProto, depth: int) -> int:
        if node.op_type == "Loop":
            raise self._refusal("a Loop, which may run for ever; unroll it")
        total = 1
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                total += self.nodes(graph.node, depth + 1)
        key = node.domain, node.op_type, node.overload
        if key not in self._functions:
            return total
        if key in self._open:
            raise self._refusal(f"the function {node.op_type}, which calls itself")
        if key not in self._sizes:
            self._open.add(key)
            self._sizes[key] = self.nodes(self._functions[key].node, depth + 1)
            self._open.remove(key)
        return total + self._sizes[key]

    def _refusal(self, found: str) -> InputError:
        return InputError(f"{self._where}: expected a graph that ends, got {found}")

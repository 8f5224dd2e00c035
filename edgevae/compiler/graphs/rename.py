"""Rename values, so that names of the exporter's modules, scopes and files are removed.

Two exports of one model then become one file.
"""

from collections import Counter

import onnx_ir as ir

from edgevae.compiler.graphs import class_input


def tidy(model: ir.Model) -> None:
    """Name nodes by operator and number, outputs after their node, initializers after their user.

    Inputs and outputs of the graph keep their names. Doc strings, metadata and the exporter's
    version are removed, as they carry stack traces and local paths.
    """
    model.doc_string = model.producer_version = model.domain = None
    model.producer_name, model.model_version = "edgevae", None
    for key in set(model.metadata_props) - {class_input.KEY}:
        del model.metadata_props[key]
    graph = model.graph
    graph.name, graph.doc_string = "edgevae", None
    graph.metadata_props.clear()
    ports = {*graph.inputs, *graph.outputs}
    for value in ports:
        _strip(value)
    taken = {value.name for value in ports}
    # Twice, as a final name may be one that a later value still has.
    for draft in ("~", ""):
        _rename(graph, ports, taken, draft)


def _rename(graph: ir.Graph, ports: set[ir.Value], taken: set[str | None], draft: str) -> None:
    counts: Counter[str] = Counter()
    named = set(ports)

    def name(value: ir.Value, preferred: str) -> None:
        if value in named:
            return
        named.add(value)
        _strip(value)
        value.name = draft + (f"{preferred}_" if preferred in taken else preferred)

    for node in ir.traversal.RecursiveGraphIterator(graph):
        kind = node.op_type.lower()
        node.name = f"{kind}_{counts[kind]}"
        counts[kind] += 1
        node.doc_string = None
        node.metadata_props.clear()
        for number, value in enumerate(node.inputs):
            if value is not None and value.is_initializer():
                name(value, f"{node.name}.{number}")
        for number, value in enumerate(node.outputs):
            name(value, f"{node.name}:{number}" if number else node.name)


def _strip(value: ir.Value) -> None:
    value.doc_string = None
    value.metadata_props.clear()

"""The memory of a row is that of the values alive at once, and determines the chunk."""

from itertools import pairwise

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgevae.compiler.graphs import memory


def chain(*widths: int, keep_first: bool = False) -> ir.Model:
    """Linear layers of these widths; with `keep_first` the first's output is added at the end."""
    nodes, weights = [], []
    for i, (a, b) in enumerate(pairwise(widths)):
        weights.append(numpy_helper.from_array(np.zeros((a, b), np.float32), f"w{i}"))
        nodes.append(helper.make_node("MatMul", [f"v{i}", f"w{i}"], [f"v{i + 1}"]))
    out = f"v{len(widths) - 1}"
    if keep_first:
        nodes.append(helper.make_node("Add", ["v1", out], ["sum"]))
        out = "sum"
    graph = helper.make_graph(
        nodes,
        "chain",
        [helper.make_tensor_value_info("v0", TensorProto.FLOAT, ["n", widths[0]])],
        [helper.make_tensor_value_info(out, TensorProto.FLOAT, ["n", widths[-1]])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return ir.from_proto(model)


@pytest.mark.parametrize(
    ("model", "numbers"),
    [
        (chain(5, 10, 20, 30, 10), 50),  # 20 in, 30 out; the 10 is gone
        (chain(5, 10, 20, 30, 10, keep_first=True), 60),  # the 10 is still needed
        (chain(5, 10), 10),
    ],
)
def test_a_value_lives_from_its_node_to_the_last_that_takes_it(model, numbers):
    assert memory.row_bytes(model) == 3 * 4 * numbers


def test_chunks_shrink_as_rows_grow():
    assert memory.modelled_chunk(chain(5, 10)) == 256
    assert memory.modelled_chunk(chain(5, 1 << 14, 1 << 14)) == 32
    assert memory.modelled_chunk(chain(5, 1 << 21)) == 1


def test_weights_that_a_graph_dequantises_are_no_row_s():
    model = chain(5, 10, 20)
    expected = memory.row_bytes(model)
    first = model.graph[0]
    copy = ir.node("Identity", [first.inputs[1]])
    model.graph.insert_before(first, copy)
    first.replace_input_with(1, copy.outputs[0])
    copy.outputs[0].name = "dequantised"
    assert memory.row_bytes(model) == expected

import normal_form
import numpy as np
from chains import rewritten, weights
from onnx import TensorProto, helper, numpy_helper

from edgevae.compiler.rewrites import hold_residual


def decoder(channels: int, *, adds: bool = True):
    """Gemm, Reshape, and y + Conv(y) or Conv(y)."""
    arrays = {
        "w": weights(6, channels * 16),
        "k": weights(channels, channels, 3, 3),
        "shape": np.array([-1, channels, 4, 4]),
    }
    nodes = [
        helper.make_node("MatMul", ["z", "w"], ["flat"]),
        helper.make_node("Reshape", ["flat", "shape"], ["y"]),
        helper.make_node("Conv", ["y", "k"], ["conv"], pads=[1] * 4),
        helper.make_node("Add", ["y", "conv"] if adds else ["conv", "conv"], ["x_hat"]),
    ]
    graph = helper.make_graph(
        nodes,
        "residual",
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, ["n", 6])],
        [helper.make_tensor_value_info("x_hat", TensorProto.FLOAT, ["n", channels, 4, 4])],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    return normal_form.read(model.SerializeToString())


def test_values_read_by_a_convolution_and_a_sum_are_held_in_the_layout():
    places, kinds = rewritten(decoder(32), hold_residual.rewrite)
    assert places == 1
    assert kinds.count("MaxPool") == 1


def test_a_graph_without_blocks_or_sums_is_unchanged():
    assert rewritten(decoder(12), hold_residual.rewrite)[0] == 0
    assert rewritten(decoder(32, adds=False), hold_residual.rewrite)[0] == 0

import numpy as np
import onnx_ir as ir
import pytest
from chains import chain, conv

from edgevae.compiler.graphs import CheckSession, Edit, interleave
from edgevae.compiler.rewrites import lowered


def two_phases(begins=(0, 0), sizes=(6, 4)) -> ir.Model:
    """x and -x of (1, 3, 2), interleaved 2 x 2 as x, -x in rows and columns, cropped."""
    model = chain((1, 3, 2), ("Neg", [], {}))
    (neg,) = model.graph
    x = neg.inputs[0]
    edit = Edit(model.graph)
    minus = edit.op("Neg", x)
    parts = [x, minus, minus, x]
    image = interleave.interleave(edit, parts, (2, 2), (3, 2), begins, sizes)
    image.shape, image.dtype = ir.Shape(["n", 1, *sizes]), ir.DataType.FLOAT
    model.graph.outputs[0].shape = image.shape
    edit.replace([neg], image)
    return model


@pytest.mark.parametrize("begins", [(0, 0), (1, 0), (1, 1)])
def test_pixels_come_from_their_phase(begins):
    sizes = (6 - begins[0], 4 - begins[1])
    model = two_phases(begins, sizes)
    (node,) = interleave.nodes(model)
    assert interleave.cropped(node) == (begins != (0, 0))
    x = np.random.default_rng(0).standard_normal((2, 1, 3, 2), np.float32)
    expected = np.empty((2, 1, 6, 4), np.float32)
    for row in (0, 1):
        for column in (0, 1):
            expected[:, :, row::2, column::2] = x if row == column else -x
    (got,) = CheckSession(lowered(model), "test").run(x)
    np.testing.assert_array_equal(got, expected[:, :, begins[0] :, begins[1] :])


def test_pointwise_operators_move_to_the_inputs():
    model = two_phases()
    (node,) = interleave.nodes(model)
    edit = Edit(model.graph)
    copy = edit.op(
        interleave.OP, *node.inputs, domain=interleave.DOMAIN, **interleave._attributes(node)
    )
    copy.shape, copy.dtype = node.outputs[0].shape, ir.DataType.FLOAT
    edit.replace([node], edit.op("Relu", copy))
    interleave.hoist(model)
    assert [node.op_type for node in model.graph][-5:] == ["Relu"] * 4 + ["Interleave"]


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (("Relu", [], {}), True),
        (("Mul", [np.ones((2, 1, 1), np.float32)], {}), True),
        (("Add", [np.ones((1, 2, 1, 1), np.float32)], {}), True),
        (("Add", [np.ones((5, 5), np.float32)], {}), False),
        (("Softmax", [], {"axis": 1}), False),
    ],
)
def test_only_operations_equal_for_every_pixel_are_pointwise(layer, expected):
    node = chain((2, 5, 5), conv(2, 2, [1, 1], [0] * 4), ("Relu", [], {}), layer).graph[-1]
    assert interleave.pointwise(node, node.inputs[0]) == expected

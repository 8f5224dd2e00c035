import numpy as np
from chains import chain

from edgevae.compiler.graphs import CheckSession, Edit, only_user

X = np.array([[-1, 2]], np.float32)


def test_new_nodes_take_the_place_of_old_ones():
    model = chain((2,), ("Neg", [], {}), ("Relu", [], {}))
    neg, relu = model.graph
    edit = Edit(model.graph)
    edit.replace([neg, relu], edit.op("Mul", neg.inputs[0], np.float32([3, 4])))
    assert [node.op_type for node in model.graph] == ["Mul"]
    np.testing.assert_array_equal(CheckSession(model, "test").run(X)[0], [[-3, 8]])


def test_a_copy_reads_another_value():
    model = chain((2,), ("LeakyRelu", [], {"alpha": 0.5}), ("Neg", [], {}))
    relu, neg = model.graph
    edit = Edit(model.graph)
    first = edit.op("Neg", relu.inputs[0])
    edit.replace([relu, neg], edit.like(relu, first))
    assert [node.op_type for node in model.graph] == ["Neg", "LeakyRelu"]
    np.testing.assert_array_equal(CheckSession(model, "test").run(X)[0], [[1, -1]])


def test_an_output_of_the_graph_has_no_only_user():
    model = chain((2,), ("Neg", [], {}), ("Relu", [], {}))
    neg, relu = model.graph
    assert only_user(neg.outputs[0]) is relu
    assert only_user(relu.outputs[0]) is None

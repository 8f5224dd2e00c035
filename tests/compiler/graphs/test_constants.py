import numpy as np
from chains import chain, weights

from edgevae.compiler.graphs import constants


def test_a_value_is_read_only_if_it_is_constant():
    node = chain((2,), ("MatMul", [weights(2, 3)], {})).graph[0]
    np.testing.assert_array_equal(constants.value(node.inputs[1]), weights(2, 3))
    assert constants.value(node.inputs[0]) is None
    assert constants.value(None) is None


def test_a_name_that_is_taken_gets_a_number():
    model = chain((2,), ("Relu", [], {}))
    names = [constants.new(model, np.zeros(1), "one").name for _ in range(3)]
    assert names == ["one", "one_1", "one_2"]


def test_others_that_shared_a_constant_keep_it():
    model = chain((2,), ("Mul", [weights(2, 1)[:, 0]], {}), ("Neg", [], {}), ("Relu", [], {}))
    first, *_ = model.graph
    shared = first.inputs[1]
    constants.replace(first, 1, np.ones(2, np.float32))
    assert first.inputs[1] is not shared
    np.testing.assert_array_equal(constants.value(first.inputs[1]), [1, 1])
    np.testing.assert_array_equal(constants.value(shared), weights(2, 1)[:, 0])

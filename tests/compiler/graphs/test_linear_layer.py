import numpy as np
import pytest
from chains import chain, weights

from edgevae.compiler.graphs import linear_layer

W, B = weights(2, 3), weights(3, 1)[:, 0]


@pytest.mark.parametrize(
    ("layer", "factor"),
    [
        (("Gemm", [W, B], {}), (1, 1)),
        (("Gemm", [W.T, B], {"transB": 1}), (1, 1)),
        (("Gemm", [W, B[None]], {"alpha": 2.0, "beta": 3.0}), (2, 3)),
        (("Gemm", [W], {}), (1, 0)),
        (("MatMul", [W], {}), (1, 0)),
    ],
)
def test_weights_and_bias_of_any_form(layer, factor):
    w, b = linear_layer.weights_and_bias(chain((2,), layer).graph[0])
    np.testing.assert_allclose(w, factor[0] * W, rtol=1e-6)
    np.testing.assert_allclose(b, factor[1] * B, rtol=1e-6)
    assert w.dtype == b.dtype == np.float32


def test_weights_that_are_no_matrix_are_left():
    node = chain((4, 2), ("MatMul", [W[None]], {})).graph[0]
    assert linear_layer.weights_and_bias(node) is None

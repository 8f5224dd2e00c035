import numpy as np
import pytest
from chains import chain, rewritten, weights

from edgevae.compiler.rewrites import merge_linear

UP = {"kernel_shape": [4, 4], "strides": [2, 2], "pads": [1, 1, 1, 1]}
UNFLATTEN = ("Reshape", [np.array([-1, 32, 4, 4])], {})


def layer(outputs=512, **attributes):
    shape = (outputs, 10) if attributes.get("transB") else (10, outputs)
    return "Gemm", [weights(*shape), weights(outputs, 1)[:, 0]], attributes


@pytest.mark.parametrize("attributes", [{}, {"transB": 1, "alpha": 0.5, "beta": 2.0}])
def test_a_linear_layer_and_a_transposed_convolution_are_one_matrix(attributes):
    bias = weights(16, 1)[:, 0]
    up = ("ConvTranspose", [weights(32, 16, 4, 4), bias], UP)
    model = chain((10,), layer(**attributes), UNFLATTEN, up, ("Relu", [], {}))
    # The activation fuses with the layer where it comes before the Reshape.
    assert rewritten(model, merge_linear.rewrite) == (1, ["Gemm", "Relu", "Reshape"])


def test_two_operators_in_a_row_are_both_taken():
    conv = ("Conv", [weights(16, 16, 3, 3)], {"kernel_shape": [3, 3], "pads": [1] * 4})
    model = chain((10,), layer(), UNFLATTEN, ("ConvTranspose", [weights(32, 16, 2, 2)],
                  {"kernel_shape": [2, 2], "strides": [2, 2]}), conv)  # fmt: skip
    assert rewritten(model, merge_linear.rewrite) == (2, ["Gemm", "Reshape"])


def test_an_activation_between_parts_them():
    up = ("ConvTranspose", [weights(32, 16, 4, 4)], UP)
    model = chain((10,), layer(), ("Relu", [], {}), UNFLATTEN, up)
    assert rewritten(model, merge_linear.rewrite)[0] == 0


def test_a_matrix_that_would_outgrow_them_is_not_made():
    up = ("ConvTranspose", [weights(32, 64, 4, 4)], UP | {"strides": [4, 4], "pads": [0] * 4})
    model = chain((10,), layer(), UNFLATTEN, up)
    assert rewritten(model, merge_linear.rewrite)[0] == 0

"""The cost model counts what an operator computes and copies."""

import pytest
from chains import chain, weights

from edgevae.compiler import cost
from edgevae.compiler.targets import AARCH64, TARGETS, Costs

FREE = Costs(conv=0, gemm=0, copy=0, im2col=0, scatter=0, node=0, lanes=1)
CONV = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
UP = {"kernel_shape": [4, 4], "strides": [2, 2], "pads": [1, 1, 1, 1]}


def nanoseconds(model, rows=1, **costs):
    return 1e3 * cost.microseconds(model, rows, FREE._replace(**costs))


def test_a_product_of_matrices_costs_its_multiply_adds_and_one_pass_over_its_weights():
    model = chain((5,), ("MatMul", [weights(5, 7)], {}))
    assert nanoseconds(model, rows=3, gemm=1) == pytest.approx(3 * 5 * 7)
    assert nanoseconds(model, rows=3, copy=1) == pytest.approx(4 * 5 * 7)
    assert nanoseconds(model, rows=3, node=1) == pytest.approx(1000)


def test_a_convolution_copies_the_pixels_that_it_reads():
    model = chain((2, 6, 6), ("Conv", [weights(5, 2, 3, 3)], CONV))
    assert nanoseconds(model, conv=1) == pytest.approx(36 * 5 * 2 * 9)
    assert nanoseconds(model, im2col=1) == pytest.approx(36 * 2 * 9)
    assert nanoseconds(model, copy=1) == 0


def test_a_convolution_of_one_pixel_reads_its_input_as_it_is():
    model = chain((2, 6, 6), ("Conv", [weights(5, 2, 1, 1)], {"kernel_shape": [1, 1]}))
    assert nanoseconds(model, conv=1) == pytest.approx(36 * 5 * 2)
    assert nanoseconds(model, im2col=1) == 0


def test_a_convolution_with_lanes_computes_all_of_them():
    model = chain((2, 6, 6), ("Conv", [weights(5, 2, 3, 3)], CONV))
    assert nanoseconds(model, conv=1, lanes=16) == pytest.approx(36 * 16 * 2 * 9)


def test_a_transposed_convolution_scatters_each_product_of_matrices():
    model = chain((8, 5, 5), ("ConvTranspose", [weights(8, 16, 4, 4)], UP))
    assert nanoseconds(model, gemm=1) == pytest.approx(25 * 8 * 16 * 16)
    assert nanoseconds(model, scatter=1) == pytest.approx(25 * 16 * 16)


def test_other_operators_copy_their_output():
    model = chain((8, 5, 5), ("Relu", [], {}))
    assert nanoseconds(model, rows=2, copy=1) == pytest.approx(2 * 4 * 200)


@pytest.mark.parametrize(
    ("inputs", "outputs", "size", "counted"),
    [
        (64, 1, 14, 11.2), (64, 8, 28, 2.13), (64, 32, 14, 1.26), (32, 16, 14, 1.41),
        (128, 64, 7, 1.21), (64, 64, 14, 1.04), (16, 64, 14, 0.67),
    ],
)  # fmt: skip
def test_on_aarch64_a_scattered_convolution_gains_as_counted(inputs, outputs, size, counted):
    """The gains are those of the instructions of an emulated Cortex-A72, with 8 rows."""
    shape = (inputs, size, size)
    plain = chain(shape, ("Conv", [weights(outputs, inputs, 3, 3)], CONV))
    scattered = chain(shape, ("ConvTranspose", [weights(inputs, outputs, 3, 3)], CONV))
    times = [cost.microseconds(model, 8, AARCH64.costs) for model in (plain, scattered)]
    assert times[0] / times[1] == pytest.approx(counted, rel=0.2)


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
def test_more_rows_cost_more(target):
    model = chain((8, 5, 5), ("ConvTranspose", [weights(8, 16, 4, 4)], UP), ("Relu", [], {}))
    one, two = (cost.microseconds(model, rows, target.costs) for rows in (1, 2))
    assert one < two < 2 * one

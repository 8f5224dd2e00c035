import numpy as np
import pytest
from chains import chain, rewritten, weights

from edgevae.compiler.rewrites import split_phases


def transposed(size, kernel, stride, padding, extra=0, dilation=1, group=1, channels=(8, 16)):
    rank = len(size)
    inputs, outputs = channels
    attributes = {
        "kernel_shape": [kernel] * rank,
        "strides": [stride] * rank,
        "pads": [padding] * 2 * rank,
        "output_padding": [extra] * rank,
        "dilations": [dilation] * rank,
        "group": group,
    }
    arrays = [weights(inputs, outputs // group, *[kernel] * rank), weights(outputs, 1)[:, 0]]
    return chain((inputs, *size), ("ConvTranspose", arrays, attributes))


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "extra"),
    [(4, 2, 1, 0), (3, 2, 1, 1), (2, 2, 0, 0), (5, 2, 2, 1), (5, 2, 2, 0), (5, 2, 0, 0),
     (3, 2, 0, 0), (6, 3, 1, 2), (4, 4, 0, 0), (3, 2, 2, 0), (4, 2, 3, 1), (7, 3, 0, 0)],
)  # fmt: skip
def test_a_transposed_convolution_is_a_convolution_a_phase(kernel, stride, padding, extra):
    model = transposed((5, 6), kernel, stride, padding, extra)
    places, kinds = rewritten(model, split_phases.rewrite)
    assert places == 1
    assert kinds.count("Conv") == stride**2
    assert "ConvTranspose" not in kinds


@pytest.mark.parametrize("group", [2, 8])
def test_groups_stay_groups(group):
    model = transposed((4, 4), 4, 2, 1, group=group)
    assert rewritten(model, split_phases.rewrite)[0] == 1


def test_signals_and_volumes_too():
    assert rewritten(transposed((9,), 4, 2, 1), split_phases.rewrite)[1].count("Conv") == 2
    assert rewritten(transposed((2, 3, 4), 4, 2, 1), split_phases.rewrite)[1].count("Conv") == 8


@pytest.mark.parametrize(("kernel", "dilation"), [(3, 3), (4, 3), (5, 3)])
def test_dilation_stays_dilation(kernel, dilation):
    model = transposed((6, 6), kernel, 2, 1, dilation=dilation)
    assert rewritten(model, split_phases.rewrite)[0] == 1


@pytest.mark.parametrize(
    "settings",
    [
        {"kernel": 3, "stride": 1, "padding": 1},  # one phase
        {"kernel": 1, "stride": 2, "padding": 0},  # phases that nothing reaches
        {"kernel": 3, "stride": 2, "padding": 1, "dilation": 2},
        {"kernel": 4, "stride": 2, "padding": 1, "channels": (8, 3)},  # lanes would idle
    ],
)
def test_a_layer_that_would_not_gain_is_unchanged(settings):
    places, kinds = rewritten(transposed((5, 5), **settings), split_phases.rewrite)
    assert (places, kinds) == (0, ["ConvTranspose"])


def test_an_axis_without_a_stride_is_not_woven():
    attributes = {"kernel_shape": [3, 4], "strides": [1, 2], "pads": [1, 1, 1, 1]}
    model = chain((8, 5, 5), ("ConvTranspose", [weights(8, 16, 3, 4)], attributes))
    places, kinds = rewritten(model, split_phases.rewrite)
    assert (places, kinds.count("Conv"), kinds.count("Concat")) == (1, 2, 1)


def test_pointwise_operations_move_into_the_phases():
    up = {"kernel_shape": [4, 4], "strides": [2, 2], "pads": [1, 1, 1, 1]}
    slopes = np.linspace(0.1, 0.4, 16, dtype=np.float32).reshape(16, 1, 1)
    model = chain(
        (8, 5, 5),
        ("ConvTranspose", [weights(8, 16, 4, 4)], up),
        ("PRelu", [slopes], {}),
        ("ConvTranspose", [weights(16, 8, 4, 4)], up),
        ("LeakyRelu", [], {"alpha": 0.2}),
    )
    places, kinds = rewritten(model, split_phases.rewrite)
    assert places == 2
    assert kinds.count("PRelu") == kinds.count("LeakyRelu") == 4
    assert kinds[-1] == "Reshape"

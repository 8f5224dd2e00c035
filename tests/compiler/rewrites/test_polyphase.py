import numpy as np
import pytest

from edgevae.compiler.rewrites import polyphase

RNG = np.random.default_rng(0)


def by_phases(phases, x, w, out):
    """Compute one axis by the formula of the docstrings."""
    y, stride = np.zeros(out), len(phases)
    for o in range(out):
        phase, j = phases[o % stride], o // stride
        for t, taps in enumerate(phase.taps):
            i = j + phase.first + phase.step * t
            if 0 <= i < len(x):
                y[o] += x[i] * (taps @ w)
    return y


@pytest.mark.parametrize("stride", [2, 3])
@pytest.mark.parametrize(("kernel", "dilation", "begin"), [(4, 1, 1), (5, 1, 2), (3, 1, 0)])
def test_phases_of_a_transposed_convolution(stride, kernel, dilation, begin):
    x, w = RNG.standard_normal(6), RNG.standard_normal(kernel)
    out = stride * 5 + kernel - 2 * begin
    expected = np.zeros(out)
    for m, k in np.ndindex(6, kernel):
        o = stride * m - begin + dilation * k
        if 0 <= o < out:
            expected[o] += x[m] * w[k]
    phases = polyphase.transposed(kernel, stride, dilation, begin)
    np.testing.assert_allclose(by_phases(phases, x, w, out), expected)


@pytest.mark.parametrize("scale", [2, 3])
@pytest.mark.parametrize(("kernel", "dilation"), [(3, 1), (5, 1), (3, 2)])
def test_phases_of_an_upsampled_convolution(scale, kernel, dilation):
    x, w = RNG.standard_normal(5), RNG.standard_normal(kernel)
    begin = dilation * (kernel - 1) // 2
    padded = np.pad(np.repeat(x, scale), begin)
    expected = [padded[o : o + dilation * kernel : dilation] @ w for o in range(5 * scale)]
    phases = polyphase.upsampled(kernel, scale, dilation, begin)
    np.testing.assert_allclose(by_phases(phases, x, w, 5 * scale), expected)


def test_a_phase_without_a_tap_is_left():
    assert polyphase.transposed(2, 3, 1, 0) is None


def test_no_padding_is_negative():
    for begin in range(4):
        phases = polyphase.transposed(4, 2, 1, begin)
        axis = polyphase.axis(phases, 5, 2 * 5 + 2 - 2 * begin)
        assert min(min(axis.pads(phase)) for phase in phases) >= 0

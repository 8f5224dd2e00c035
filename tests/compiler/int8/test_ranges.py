import numpy as np
import pytest
from chains import chain, conv

from edgevae.compiler.int8 import ranges

X = np.random.default_rng(0).standard_normal((5, 2, 4, 4), np.float32)


def test_every_value_is_observed():
    model = chain((2, 4, 4), conv(2, 3, [1, 1], [0] * 4), ("Relu", [], {}))
    observed = ranges.observe(model, X)
    assert set(observed) == {"z", "conv_0", "x_hat"}
    assert observed["conv_0"].shape == (3, 4, 4)
    assert observed["z"].peaks == pytest.approx(np.abs(X).max(axis=(0, 2, 3)))
    assert observed["x_hat"].samples.min() == 0


def decoded(samples: np.ndarray, power: float) -> np.ndarray:
    scale, zero = ranges.span(samples, power)
    codes = np.clip(np.rint(samples / scale) + float(zero), 0, 255)
    return (codes - float(zero)) * scale


def test_zero_is_always_a_byte():
    for samples in (X, np.abs(X), -np.abs(X), np.zeros(9, np.float32), X + 9):
        _, zero = ranges.span(samples, 2.0)
        assert 0 <= zero <= 255


def test_a_larger_power_keeps_more_of_a_tail():
    tail = np.r_[np.random.default_rng(1).standard_normal(100_000), 40].astype(np.float32)
    errors = [np.abs(decoded(tail, power) - tail) for power in (1.5, 4.0)]
    assert errors[0].max() > errors[1].max()
    assert np.median(errors[0]) < np.median(errors[1])

"""The checks of arguments: what they return, and what they refuse."""

import numpy as np
import pytest

from edgevae import checks
from edgevae.errors import InputError


def test_integers_of_any_type_become_int():
    for value in (3, np.int8(3), np.uint64(3), np.array(3)):
        assert checks.integer(value, "n") == 3
    assert checks.start(checks.LAST) == checks.LAST == 2**64 - 1


@pytest.mark.parametrize("value", [-1, 1.0, True, "1", None, 2**64, np.float32(1), [1]])
def test_a_seed_is_an_integer_in_its_range(value):
    if value is None:
        assert 0 <= checks.seed(None) <= checks.LAST
        return
    with pytest.raises(InputError, match=r"seed: expected a whole number from 0 to 1844"):
        checks.seed(value)


def test_an_integer_without_a_bound_above_has_one_below():
    assert checks.integer(10**30, "n", least=1) == 10**30
    with pytest.raises(InputError, match="n: expected a whole number at least 1, got 0"):
        checks.integer(0, "n", least=1)


@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf"), "1", None, 1j])
def test_a_temperature_is_finite_and_not_negative(value):
    with pytest.raises(InputError, match=r"temperature: expected a finite number of at least 0"):
        checks.temperature(value)


def test_latents_become_contiguous_float32():
    z = np.arange(6.0).reshape(2, 3).T
    rows = checks.latents(z)
    assert rows.dtype == np.float32
    assert rows.flags.c_contiguous
    np.testing.assert_array_equal(rows, z)


@pytest.mark.parametrize("z", [[[1], [1, 2]], ["a"], [1j], [[np.nan]], [[np.inf]]])
def test_latents_are_finite_numbers(z):
    with pytest.raises(InputError, match="z: expected"):
        checks.latents(z)


def test_an_output_array_is_used_if_it_fits():
    out = np.empty((2, 3), np.float32)
    assert checks.output_array((2, 3), "float32", out) is out
    assert checks.output_array((2, 3), "uint8").dtype == np.uint8


def read_only() -> np.ndarray:
    array = np.empty((2, 3), np.float32)
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    ("out", "got"),
    [
        (np.empty((3, 2), np.float32), r"float32 \(3, 2\)"),
        (np.empty((2, 3)), "float64"),
        (np.empty((3, 2), np.float32).T, "not contiguous"),
        (read_only(), "read-only"),
        ([[0.0] * 3] * 2, "a list"),
    ],
)
def test_another_output_array_is_refused(out, got):
    with pytest.raises(InputError, match=rf"out: expected a writable C-contiguous.*got .*{got}"):
        checks.output_array((2, 3), "float32", out)


def test_an_array_that_memory_cannot_hold_is_refused():
    with pytest.raises(InputError, match=r"n: .* rows do not fit into memory"):
        checks.output_array((1 << 62, 1 << 20), "float32")

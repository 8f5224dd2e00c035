"""Tests of the rounding to 8 bits, into contiguous arrays and into contact sheets."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgevae import _core
from edgevae.packing import pack

F32 = np.float32
EDGES = np.array(
    [np.nan, -np.nan, np.inf, -np.inf, -0.0, -1e-30, 1e-40, 1.0, 1.0000001, 3e38, -3e38, 0.999999],
    F32,
)


def reference(x):
    """Return floor(255 x + 0.5) in float32, clamped, with 0 for NaN."""
    with np.errstate(over="ignore", invalid="ignore"):
        y = np.floor(x * F32(255) + F32(0.5))
    return (
        np.nan_to_num(y, nan=0, posinf=255, neginf=0)
        .clip(0, 255)
        .astype(np.uint8)
        .transpose(0, 2, 3, 1)
    )


def images(*shape, seed=1):
    """Return floats in and around [0, 1], among them every tie and edge case."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-0.2, 1.2, shape).astype(F32)
    ties = ((np.arange(256) + 0.5) / 255).astype(F32)
    special = np.concatenate([EDGES, ties, np.nextafter(ties, F32(0)), np.nextafter(ties, F32(2))])
    chosen = rng.random(shape) < 0.3
    x[chosen] = rng.choice(special, chosen.sum())
    return x


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.integers(0, 4),
    st.sampled_from([0, 1, 2, 3, 4, 5]),
    st.integers(0, 9),
    st.integers(0, 70),
    st.integers(0, 99),
)
def test_pack_is_the_reference(kernel, n, channels, height, width, seed):
    x = images(n, channels, height, width, seed=seed)
    got = pack(x)
    assert got.shape == (n, height, width, channels)
    assert got.dtype == np.uint8
    assert got.tobytes() == reference(x).tobytes()


def test_every_edge_and_tie(kernel):
    ties = ((np.arange(256) + 0.5) / 255).astype(F32)
    line = np.concatenate([EDGES, ties, np.nextafter(ties, F32(0)), np.nextafter(ties, F32(2))])
    x = np.stack([line, line[::-1], np.roll(line, 7)]).reshape(1, 3, 1, -1)
    for channels in (1, 3):
        part = np.ascontiguousarray(x[:, :channels])
        assert pack(part).tobytes() == reference(part).tobytes()


def test_halves_round_up_and_other_values_are_clamped():
    x = np.array([0.5 / 255, 1.5 / 255, 2.5 / 255, 0.5, np.nan, -1, 2, 1], F32).reshape(1, 1, 1, -1)
    assert pack(x).ravel().tolist() == [1, 2, 3, 128, 0, 0, 255, 255]


def test_every_8_bit_value_survives_a_round_trip(kernel):
    values = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    x = np.ascontiguousarray(values.transpose(0, 3, 1, 2)).astype(F32) / F32(255)
    assert pack(x).tobytes() == values.tobytes()


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("width", [1, 5, 28, 64])
def test_a_contact_sheet_is_packed_row_by_row(kernel, channels, width):
    rows, columns, height = 2, 3, 7
    x = images(rows * columns, channels, height, width)
    sheet = np.full((rows * height, columns * width, channels), 77, np.uint8)
    for r in range(rows):
        line = sheet[r * height : (r + 1) * height]
        tiles = line.reshape(height, columns, width, channels).transpose(1, 0, 2, 3)
        assert pack(x[r * columns : (r + 1) * columns], out=tiles) is tiles
    expected = reference(x).reshape(rows, columns, height, width, channels)
    assert (sheet == expected.swapaxes(1, 2).reshape(sheet.shape)).all()


def test_the_gap_between_lines_is_not_written(kernel):
    x = images(2, 3, 4, 5)
    margin = np.full((2, 6, 9, 3), 77, np.uint8)
    pack(x, out=margin[:, 1:5, 2:7])
    assert (margin[:, 1:5, 2:7] == reference(x)).all()
    margin[:, 1:5, 2:7] = 77
    assert (margin == 77).all()


def test_lines_and_images_may_run_backwards(kernel):
    x = images(3, 1, 4, 33)
    out = np.zeros((3, 4, 33, 1), np.uint8)
    pack(x, out=out[::-1, ::-1])
    assert (out[::-1, ::-1] == reference(x)).all()


def test_one_line_or_one_image_may_have_any_stride():
    x = images(1, 3, 1, 5)
    out = np.lib.stride_tricks.as_strided(np.zeros(15, np.uint8), (1, 1, 5, 3), (0, 0, 3, 1))
    assert pack(x, out=out).tobytes() == reference(x).tobytes()


@pytest.mark.parametrize("shape", [(16, 3, 64, 64), (1, 1, 1, 4097), (5, 4, 63, 65)])
def test_every_kernel_gives_the_bytes_of_the_scalar_one(kernel, shape):
    x = images(*shape)
    got = pack(x).tobytes()
    _core.use_kernel("scalar")
    assert got == pack(x).tobytes()

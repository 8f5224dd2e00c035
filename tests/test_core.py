"""Tests of the binding: argument errors, signatures, the GIL and the choice of a kernel."""

import array
import gc
import inspect
import math
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edgevae import _core
from edgevae.errors import InputError

F32 = np.float32


def floats(*shape):
    return np.zeros(shape, F32)


def bytes8(*shape):
    return np.zeros(shape, np.uint8)


def readonly(value):
    value.flags.writeable = False
    return value


def unaligned(*shape):
    size = 4 * int(np.prod(shape))
    return np.zeros(size + 1, np.uint8)[1:].view(F32).reshape(shape)


SHARED = floats(5, 8)
IMAGES = floats(2, 3, 4, 5)

# name: (call, pattern of the message)
INPUT_ERRORS = {
    "rows negative": (lambda: _core.normal(-1, 2, seed=1), "rows: expected an int from 0 to"),
    "rows float": (lambda: _core.normal(2.0, 2, seed=1), "rows: .*got 2.0 .float."),
    "rows array": (lambda: _core.normal(np.arange(2), 2, seed=1), "rows: .*got ndarray of int64"),
    "dims None": (lambda: _core.normal(1, None, seed=1), "dims: .*got None"),
    "seed negative": (
        lambda: _core.normal(1, 2, seed=-1),
        "seed: .*to 18446744073709551615, got -1",
    ),
    "seed too large": (lambda: _core.normal(1, 2, seed=2**64), "seed: .*got 18446744073709551616"),
    "seed bool": (lambda: _core.normal(1, 2, seed=True), "seed: .*got True .bool."),
    "seed str": (lambda: _core.normal(1, 2, seed="7"), "seed: .*got '7' .str."),
    "seed None": (lambda: _core.normal(1, 2, seed=None), "seed: .*got None"),
    "start too large": (lambda: _core.normal(1, 2, seed=1, start=2**64), "start: "),
    "purpose": (lambda: _core.normal(1, 2, seed=1, purpose=256), "purpose: .*from 0 to 255"),
    "draw": (lambda: _core.normal(1, 2, seed=1, draw=2**24), "draw: .*from 0 to 16777215"),
    "first_dim": (lambda: _core.normal(1, 2, seed=1, first_dim=2**34 - 1), "first_dim [+] dims"),
    "size": (lambda: _core.normal(2**40, 2**30, seed=1), "rows: expected at most .* numbers"),
    "out list": (lambda: _core.normal(1, 2, seed=1, out=[0, 0]), "out: expected a float32 .*list"),
    "out float64": (
        lambda: _core.normal(1, 2, seed=1, out=np.zeros((1, 2))),
        r"out: expected a float32 array with 2 axes .* got ndarray of float64, shape \(1, 2\); "
        "numpy.asarray",
    ),
    "out byte order": (
        lambda: _core.normal(1, 2, seed=1, out=np.zeros((1, 2), ">f4")),
        "out: .* native byte order, got ndarray of >f4",
    ),
    "out axes": (lambda: _core.normal(1, 2, seed=1, out=floats(2)), r"2 axes .*shape \(2,\)"),
    "out shape": (
        lambda: _core.normal(1, 2, seed=1, out=floats(2, 1)),
        r"out: expected shape \(1, 2\), \(rows, dims\), got ndarray of float32, shape \(2, 1\)",
    ),
    "out order": (
        lambda: _core.normal(2, 3, seed=1, out=np.zeros((2, 3), F32, order="F")),
        r"out: expected a C-contiguous array, .*strides \(4, 8\); pass numpy.ascontiguousarray",
    ),
    "out read-only": (
        lambda: _core.normal(1, 2, seed=1, out=readonly(floats(1, 2))),
        "out: expected a writeable array, got a read-only ndarray",
    ),
    "out unaligned": (
        lambda: _core.normal(1, 2, seed=1, out=unaligned(1, 2)),
        "out: expected memory aligned to 4 bytes",
    ),
    "mu float64": (
        lambda: _core.reparameterize(np.zeros((1, 2)), floats(1, 2), seed=1),
        "mu: expected a float32 array",
    ),
    "logvar shape": (
        lambda: _core.reparameterize(floats(1, 2), floats(2, 1), seed=1),
        r"logvar: expected shape \(1, 2\), the shape of mu",
    ),
    "logvar strided": (
        lambda: _core.reparameterize(floats(2, 2), floats(2, 4)[:, ::2], seed=1),
        "logvar: expected a C-contiguous array",
    ),
    "draws zero": (
        lambda: _core.reparameterize(floats(1, 2), floats(1, 2), seed=1, draws=0),
        "draws: expected an int from 1 to 16777215, got 0",
    ),
    "draws size": (
        lambda: _core.reparameterize(
            np.broadcast_to(F32(0), (1, 2**40)), np.broadcast_to(F32(0), (1, 2**40)), seed=1
        ),
        "mu: expected a C-contiguous array",
    ),
    "draws axes": (
        lambda: _core.reparameterize(floats(1, 2), floats(1, 2), seed=1, draws=3, out=floats(3, 2)),
        "out: expected a float32 array with 3 axes",
    ),
    "draws shape": (
        lambda: _core.reparameterize(
            floats(1, 2), floats(1, 2), seed=1, draws=3, out=floats(2, 1, 2)
        ),
        r"out: expected shape \(3, 1, 2\), \(draws, rows, dims\)",
    ),
    "out is mu": (
        lambda: _core.reparameterize(SHARED, floats(5, 8), seed=1, out=SHARED),
        "out: expected memory that does not overlap mu",
    ),
    "out meets logvar": (
        lambda: _core.reparameterize(floats(4, 8), SHARED[1:], seed=1, out=SHARED[:4]),
        "out: expected memory that does not overlap logvar",
    ),
    "x axes": (lambda: _core.pack(floats(3, 4, 5)), "x: expected a float32 array with 4 axes"),
    "x strided": (lambda: _core.pack(IMAGES[:, :, ::2]), "x: expected a C-contiguous array"),
    "packed dtype": (
        lambda: _core.pack(IMAGES, out=floats(2, 4, 5, 3)),
        "out: expected a uint8 array with 4 axes",
    ),
    "packed shape": (
        lambda: _core.pack(IMAGES, out=bytes8(2, 3, 4, 5)),
        r"out: expected shape \(2, 4, 5, 3\), the shape of x with its channels last",
    ),
    "packed read-only": (
        lambda: _core.pack(IMAGES, out=readonly(bytes8(2, 4, 5, 3))),
        "out: expected a writeable array",
    ),
    "packed pixels not adjacent": (
        lambda: _core.pack(IMAGES, out=bytes8(2, 4, 10, 3)[:, :, ::2]),
        "out: expected adjacent pixels .*strides 3 and 1",
    ),
    "packed lines overlap": (
        lambda: _core.pack(
            IMAGES, out=np.lib.stride_tricks.as_strided(bytes8(99), (2, 4, 5, 3), (60, 14, 3, 1))
        ),
        "in lines that do not overlap",
    ),
    "packed images overlap": (
        lambda: _core.pack(
            IMAGES, out=np.lib.stride_tricks.as_strided(bytes8(99), (2, 4, 5, 3), (30, 15, 3, 1))
        ),
        "in lines that do not overlap",
    ),
    "packed into x": (
        lambda: _core.pack(IMAGES, out=IMAGES.view(np.uint8).reshape(-1)[:120].reshape(2, 4, 5, 3)),
        "out: expected memory that does not overlap x",
    ),
}


@pytest.mark.parametrize("case", INPUT_ERRORS)
def test_an_input_error_says_what_was_expected_and_what_was_passed(case):
    call, message = INPUT_ERRORS[case]
    with pytest.raises(InputError, match=message):
        call()


def test_an_input_error_comes_before_any_write():
    out = np.full((3, 8), 5, F32)
    with pytest.raises(InputError):
        _core.reparameterize(floats(3, 8), floats(3, 9), seed=1, out=out)
    assert (out == 5).all()


@pytest.mark.parametrize("function", [_core.normal, _core.reparameterize])
@pytest.mark.parametrize(
    ("arguments", "keywords", "message"),
    [
        ((1, 2, 3), {}, r"takes exactly 2 positional arguments \(3 given\)"),
        ((1, 2), {}, "needs keyword-only argument seed"),
        ((1,), {"seed": 1}, r"takes exactly 2 positional arguments \(1 given\)"),
        ((1, 2), {"seed": 1, "sed": 2}, "unexpected keyword argument 'sed'"),
    ],
)
def test_a_call_that_does_not_match_the_signature(function, arguments, keywords, message):
    with pytest.raises(TypeError, match=message):
        function(*arguments, **keywords)


def test_an_argument_that_is_passed_twice():
    with pytest.raises(TypeError, match="multiple values for keyword argument 'rows'"):
        _core.normal(1, 2, seed=1, rows=1)


def test_every_argument_can_be_named_in_any_order_and_by_any_string():
    names = {"".join(["out", ""]): None, "".join(list("seed")): 7, "dims": 5, "rows": 2}
    assert _core.normal(**names).tobytes() == _core.normal(2, 5, seed=7).tobytes()


@pytest.mark.parametrize(
    ("function", "signature"),
    [
        (
            _core.normal,
            "(rows, dims, *, seed, start=0, first_dim=0, purpose=0, draw=0, out=None)",
        ),
        (_core.reparameterize, "(mu, logvar, *, seed, start=0, draws=1, out=None)"),
        (_core.pack, "(x, out=None)"),
    ],
)
def test_help_and_inspect_show_the_signature(function, signature):
    assert str(inspect.signature(function)) == signature
    assert "InputError" in function.__doc__
    assert "--" not in function.__doc__  # the signature is stripped from the text


def test_numpy_integers_and_any_float32_buffer_are_accepted():
    expected = _core.normal(3, 4, seed=7, start=5)
    got = _core.normal(np.int64(3), np.uint8(4), seed=np.uint64(7), start=np.int32(5))
    assert got.tobytes() == expected.tobytes()
    out = memoryview(array.array("f", bytes(48))).cast("B").cast("f", (3, 4))
    assert _core.normal(3, 4, seed=7, start=5, out=out) is out
    assert bytes(out) == expected.tobytes()


def test_reference_counts_stay_the_same():
    mu, logvar, out, seed = floats(2, 3), floats(2, 3), floats(2, 3), 10**12
    gc.collect()  # garbage of other tests would change None's count meanwhile
    before = [sys.getrefcount(value) for value in (mu, logvar, out, seed, None)]
    for _ in range(1000):
        _core.reparameterize(mu, logvar, seed=seed, out=out)
        with pytest.raises(InputError):
            _core.reparameterize(mu, logvar, seed=seed, out=mu)
    after = [sys.getrefcount(value) for value in (mu, logvar, out, seed, None)]
    assert after[:4] == before[:4]
    assert abs(after[4] - before[4]) < 500
    mu.resize((4, 3))  # fails while a view of the memory exists


def test_a_large_call_releases_the_gil():
    out = floats(1, 1 << 23)
    stop = threading.Event()
    halfway = []

    def watch():
        while not stop.wait(0.0001):
            if out[0, 0] != 0 and out[0, -1] == 0:
                halfway.append(True)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        for _ in range(100):  # a busy machine may not run the watcher during the first call
            out[:] = 0
            _core.normal(1, 1 << 23, seed=1, out=out)
            if halfway:
                break
    finally:
        stop.set()
        thread.join()
    assert halfway, "no thread saw a call that had begun and not ended"


def test_kernels_lists_the_available_and_the_active(kernel):
    info = _core.kernels()
    assert info["available"][0] == "scalar"
    assert info["active"] == kernel


def test_an_unknown_kernel_is_an_input_error():
    active = _core.kernels()["active"]
    with pytest.raises(InputError, match=r"name: expected one of .*scalar.*, got 'mmx'"):
        _core.use_kernel("mmx")
    assert _core.kernels()["active"] == active


def run(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("name", _core.kernels()["available"])
def test_the_environment_variable_selects_a_kernel(name):
    done = run("import edgevae; print(edgevae.kernels()['active'])", EDGEVAE_KERNEL=name)
    assert done.stdout.split() == [name], done.stderr


def test_an_empty_environment_variable_selects_the_best_kernel():
    done = run("import edgevae; print(edgevae.kernels()['active'])", EDGEVAE_KERNEL="")
    assert done.stdout.split() == _core.kernels()["available"][-1:], done.stderr


def test_an_unknown_kernel_in_the_environment_variable_is_an_input_error():
    done = run("import edgevae; edgevae.kernels()", EDGEVAE_KERNEL="mmx")
    assert done.returncode != 0
    assert "InputError: EDGEVAE_KERNEL: expected one of" in done.stderr
    assert "scalar" in done.stderr


# --- scores ----------------------------------------------------------------------------------


@given(
    rows=st.integers(0, 5),
    shape=st.sampled_from(((1,), (7,), (16,), (33,), (3, 5), (1100,), (2049,))),
    each=st.booleans(),
    seed=st.integers(0, 99),
)
def test_squares_and_their_sums(rows, shape, each, seed):
    rng = np.random.default_rng(seed)
    x, y = (rng.standard_normal((rows, *shape)).astype(np.float32) for _ in range(2))
    scale = rng.random(shape if each else ()).astype(np.float32)
    expected = np.square((x - y) * scale)
    out = np.empty_like(x)
    sums = _core.squares(x, y, scale, out)
    np.testing.assert_array_equal(out, expected)
    exact = expected.reshape(rows, math.prod(shape)).sum(1, dtype=np.float64)
    np.testing.assert_allclose(sums, exact, rtol=66 * 2**-24)
    in_place = _core.squares(x, y, scale, y)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(in_place, sums, strict=True)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"x": np.zeros((2, 3))}, "x: expected an aligned float32 array"),
        ({"y": np.zeros((2, 4), np.float32)}, "y: expected the shape of x"),
        ({"y": np.zeros((2, 3, 1), np.float32)}, "y: expected the shape of x"),
        ({"scale": np.ones(2, np.float32)}, "scale: expected 1 number or 3"),
        ({"out": np.zeros((2, 3), np.float32)[:1]}, "out: expected the shape of x"),
        ({"out": np.broadcast_to(np.float32(0), (2, 3))}, "out: expected a"),
    ],
)
def test_squares_refuse_what_does_not_fit(change, says):
    zeros = {name: np.zeros((2, 3), np.float32) for name in ("x", "y", "out")}
    with pytest.raises(InputError, match=says):
        _core.squares(**{**zeros, "scale": np.ones(3, np.float32), **change})


def test_squares_do_not_overwrite_x():
    x = np.zeros((3, 3), np.float32)
    with pytest.raises(InputError, match="out: expected memory that does not overlap x"):
        _core.squares(x[:2], x[1:], np.float32([1]), x[1:])


@given(
    rows=st.integers(0, 5),
    dims=st.integers(1, 70),
    directions=st.integers(0, _core.MAX_DIRECTIONS),
    seed=st.integers(0, 99),
)
def test_distances(rows, dims, directions, seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, dims)).astype(np.float32)
    mean = rng.standard_normal(dims).astype(np.float32)
    matrix = rng.standard_normal((dims, directions)).astype(np.float32)
    exact = np.linalg.norm((x - mean).astype(np.float64) @ matrix, axis=1)
    got = _core.distance(x, mean, matrix)
    assert got.dtype == np.float64
    np.testing.assert_allclose(got, exact, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"mean": np.zeros(4, np.float32)}, r"mean: expected shape \(3,\)"),
        ({"matrix": np.zeros((4, 2), np.float32)}, r"matrix: expected shape \(3, 2\)"),
        ({"matrix": np.zeros((3, 65), np.float32)}, "matrix: expected at most 64 columns"),
        ({"matrix": np.zeros((2, 3), np.float32).T}, "matrix: expected a C-contiguous array"),
        ({"x": np.zeros(3, np.float32)}, "x: expected a float32 array with 2 axes"),
    ],
)
def test_distances_refuse_what_does_not_fit(change, says):
    fitting = {
        "x": np.zeros((2, 3), np.float32),
        "mean": np.zeros(3, np.float32),
        "matrix": np.zeros((3, 2), np.float32),
    }
    with pytest.raises(InputError, match=says):
        _core.distance(**{**fitting, **change})


@given(rows=st.integers(0, 5), seed=st.integers(0, 99))
def test_divergences(rows, seed):
    rng = np.random.default_rng(seed)
    mu, logvar = (rng.standard_normal((rows, 2, 3)).astype(np.float32) for _ in range(2))
    m, v = mu.astype(np.float64), logvar.astype(np.float64)
    exact = (np.expm1(v) - v + m * m).sum((1, 2)) / 2
    np.testing.assert_allclose(_core.divergence(mu, logvar), exact, rtol=1e-12)
    with pytest.raises(InputError, match="logvar: expected the shape of mu"):
        _core.divergence(mu, logvar[:, 0].copy())


# --- extremes --------------------------------------------------------------------------------


@given(
    x=arrays(np.float32, st.integers(1, 70), elements=st.floats(width=32)),
    offset=st.integers(0, 3),
)
def test_extremes_are_exact_and_show_every_nan_and_infinity(x, offset):
    x = np.concatenate([np.full(offset, np.nan, np.float32), x])[offset:]
    finite = bool(np.isfinite(x).all())
    least, most = _core.extremes(x)
    assert (math.isfinite(least) and math.isfinite(most)) == finite
    assert _core.is_finite(x) == finite
    if finite:
        assert (least, most) == (x.min(), x.max())


@given(
    x=arrays(np.float32, st.tuples(st.integers(0, 4), st.just(3)), elements=st.floats(width=32)),
    low=st.floats(-3, 0, width=32),
    high=st.floats(0, 3, width=32),
)
def test_rows_within_bounds_need_no_conversion(x, low, high):
    assert _core.are_rows(x, (3,), low, high) == bool(((x >= low) & (x <= high)).all())
    assert not _core.are_rows(x, (4,), low, high)
    assert not _core.are_rows(x, (), low, high)
    assert not _core.are_rows(x, (3, 1), low, high)


@pytest.mark.parametrize(
    "x",
    [
        np.zeros((2, 2)),
        np.zeros((4, 4), np.float32)[:2, :2],
        np.zeros((2, 2), ">f4"),
        np.frombuffer(b"\0" * 17, np.uint8)[1:].view(np.float32).reshape(2, 2),
        np.zeros((2, 2), np.float32, order="F"),
        np.zeros(2, np.float32),
        [[0.0, 0.0]],
        None,
    ],
)
def test_everything_else_needs_conversion(x):
    assert not _core.are_rows(x, (2,), -1.0, 1.0)


def test_an_empty_array_is_finite_and_has_no_extremes():
    empty = np.empty((0, 3), np.float32)
    assert _core.is_finite(empty)
    with pytest.raises(InputError, match="x: expected at least one number"):
        _core.extremes(empty)


@pytest.mark.parametrize(
    "x", [np.zeros(3), np.zeros((4, 4), np.float32)[:, :2], [1.0], np.zeros(3, ">f4"), None]
)
def test_extremes_take_contiguous_float32_alone(x):
    for function in (_core.is_finite, _core.extremes):
        with pytest.raises(InputError, match="x: expected a"):
            function(x)


# --- the gate --------------------------------------------------------------------------------


def test_a_gate_lets_all_threads_pass_once_it_is_open():
    gate, passed = _core.Gate(), []

    def wait():
        gate.wait()
        passed.append(None)

    threads = [threading.Thread(target=wait) for _ in range(20)]
    for thread in threads:
        thread.start()
    assert not passed
    gate.open()
    for thread in threads:
        thread.join(30)
    assert len(passed) == 20
    gate.wait()  # returns at once


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot send an interrupt")
def test_a_wait_at_a_gate_can_be_interrupted():
    interrupt = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
    interrupt.start()
    with pytest.raises(KeyboardInterrupt):
        _core.Gate().wait()
    interrupt.join()

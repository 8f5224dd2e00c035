"""The common behaviour of kinds: items are read, and results allocated and finished."""

import os
import re
import signal
import threading

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgevae.data import Signal, Vector
from edgevae.data.items import accepted
from edgevae.errors import InputError


def test_floats_are_read_and_come_back_as_floats(kind):
    x = np.random.default_rng(0).random((3, *kind.x_shape))
    items = kind.read(x)
    assert items.rows.shape == (3, *kind.x_shape)
    assert items.rows.dtype == np.float32
    np.testing.assert_array_equal(items.back(items.rows), x.astype(np.float32))
    single = kind.read(x[0])
    assert single.single
    assert single.back(single.rows).shape == kind.x_shape
    assert len(kind.read(list(x)).back(items.rows)) == 3


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    scale=st.sampled_from((0.1, 1.0, 5.0, 30.0)),
    bad=st.sampled_from((None, np.nan, np.inf)),
    dtype=st.sampled_from((np.float32, np.float64)),
    form=st.sampled_from((np.asarray, np.asfortranarray, list, lambda x: x[0], lambda x: x[:0])),
)
def test_rows_are_those_that_are_read(kind, scale, bad, dtype, form):
    x = scale * (np.random.default_rng(0).random((3, *kind.x_shape)) - 0.5).astype(dtype)
    if bad is not None:
        x.flat[1] = bad
    try:
        expected = kind.read(form(x)).rows
    except InputError as error:
        with pytest.raises(InputError, match=re.escape(str(error))):
            kind.rows(form(x))
    else:
        got = kind.rows(form(x))
        assert got.flags.c_contiguous
        np.testing.assert_array_equal(got, expected, strict=True)


def test_a_wrong_shape_is_refused(kind):
    with pytest.raises(InputError, match="of shape"):
        kind.read(np.zeros((3, 3, 9), np.float32))


@pytest.mark.parametrize("name", ["image", "vector", "signal"])
def test_floats_are_finished_unchanged(name, examples):
    kind = examples[name]
    x_hat = np.random.default_rng(0).random((2, *kind.x_shape), np.float32)
    out = np.empty_like(x_hat)
    assert kind.allocate(2, out=out) is out
    kind.finish(x_hat, out)
    assert kind.result(out) is out
    np.testing.assert_array_equal(out, x_hat)


@pytest.mark.parametrize(("name", "makes"), [("vector", "vectors"), ("signal", "signals")])
def test_only_images_have_pixels(name, makes, examples):
    with pytest.raises(InputError, match=f"the model returns {makes}, got 'uint8'"):
        examples[name].allocate(2, "uint8")


def test_the_default_output_suits_the_kind(examples):
    names = {name: kind.default_output("made", ".png") for name, kind in examples.items()}
    assert names == {"image": "made.png", "vector": "made.npy", "signal": "made.npy", "text": "-"}


def test_rows_of_tables_have_names(examples):
    assert examples["signal"].feature_names == ("volts", "amps")
    assert Signal((2, 6)).feature_names == ("x0", "x1")
    assert len(examples["image"].feature_names) == 60


@pytest.mark.parametrize(
    ("x", "says"),
    [(3, "got a int"), (np.zeros((1, 2), int), "got an array of int64"), (None, "got a NoneType")],
)
def test_another_type_is_refused_with_its_name(examples, x, says):
    with pytest.raises(InputError, match=f"expected an array of float32, {says}"):
        examples["vector"].read(x)


def test_the_item_of_a_list_is_named(examples):
    vector = examples["vector"]
    with pytest.raises(InputError, match="item 1 of the list: x: expected float64 of shape"):
        vector.read([np.zeros(2), np.zeros(3)])
    with pytest.raises(InputError, match="item 0 of the list: expected a single item, got a batch"):
        vector.read([np.zeros((1, 2))])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_a_fork_copies_no_lock_that_another_thread_holds(monkeypatch):
    """On Python 3.11, `functools.cached_property` holds one for each class while it computes."""
    entered, leave, caller = threading.Event(), threading.Event(), threading.current_thread()

    def slow(x_range):
        if threading.current_thread() is not caller:
            entered.set()
            leave.wait(60)
        return accepted(x_range)

    monkeypatch.setattr("edgevae.data.kind.accepted", slow)
    x = np.zeros((1, 3), np.float32)
    other = threading.Thread(target=lambda: Vector((3,)).rows(x))
    other.start()
    entered.wait(60)
    child = os.fork()
    if not child:
        signal.alarm(10)  # ends a child that hangs
        os._exit(Vector((3,)).rows(x) is not x)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    leave.set()
    other.join()
    assert code == 0

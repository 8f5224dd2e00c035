"""Chunks cover every row once, evenly, on all workers; a failure in one is raised."""

import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgevae import _core
from edgevae.engine import run_chunks


@settings(deadline=None)
@given(rows=st.integers(0, 500), chunk=st.integers(1, 70), workers=st.integers(1, 5))
def test_every_row_is_done_once(rows, chunk, workers):
    done, sizes = np.zeros(rows, int), []

    def work(first, last):
        done[first:last] += 1
        sizes.append(last - first)

    run_chunks(rows, chunk, workers, work)
    assert (done == 1).all()
    if rows:
        assert max(sizes) <= chunk
        assert max(sizes) - min(sizes) <= 1
        assert len(sizes) % workers == 0 or len(sizes) == rows


def test_workers_work_at_once_and_the_caller_is_one():
    # Each of the three waits for the others: two threads could not pass.
    barrier, seen = threading.Barrier(3, timeout=30), set()

    def work(first, last):
        barrier.wait()
        seen.add(threading.current_thread())

    run_chunks(3, 1, 3, work)
    assert len(seen) == 3
    assert threading.current_thread() in seen


@pytest.mark.parametrize("failure", [ZeroDivisionError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("in_caller", [True, False])
def test_a_failure_stops_the_rest_and_is_raised(failure, in_caller):
    done, caller, before = [], threading.current_thread(), threading.active_count()

    def work(first, last):
        if (threading.current_thread() is caller) == in_caller:
            raise failure
        time.sleep(0.02)
        done.append(first)

    with pytest.raises(failure):
        run_chunks(1000, 1, 2, work)
    assert len(done) < 100
    assert threading.active_count() == before


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot send an interrupt")
def test_an_interrupt_stops_all_workers():
    code = """
import time
from edgevae.engine import run_chunks
print("ready", flush=True)
run_chunks(100_000, 1, 2, lambda first, last: time.sleep(0.01))
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == -signal.SIGINT
    assert errors.splitlines()[-1] == "KeyboardInterrupt"


def test_gather_and_scatter_are_inverse():
    parts = [np.full((n, 3), n, np.float32) for n in (1, 4, 2)]
    merged = _core.gather(parts, np.empty((7, 3), np.float32))
    np.testing.assert_array_equal(merged, np.concatenate(parts))
    outs = [np.empty_like(part) for part in parts]
    _core.scatter(merged, outs)
    for part, out in zip(parts, outs, strict=True):
        np.testing.assert_array_equal(out, part)

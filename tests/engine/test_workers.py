"""Chunks cover every row once, evenly, on all workers; a failure in one is raised."""

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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


def assert_workers_work_at_once(workers):
    # Each of them waits for the others: fewer threads could not pass.
    barrier, seen = threading.Barrier(workers, timeout=30), set()

    def work(first, last):
        barrier.wait()
        seen.add(threading.current_thread())

    run_chunks(workers, 1, workers, work)
    assert len(seen) == workers
    assert threading.current_thread() in seen


def test_workers_work_at_once_and_the_caller_is_one():
    assert_workers_work_at_once(3)


def test_the_threads_of_the_pool_are_kept():
    assert_workers_work_at_once(3)
    before = threading.active_count()
    for _ in range(20):
        assert_workers_work_at_once(3)
        assert_workers_work_at_once(2)
    assert threading.active_count() == before


def test_callers_share_the_pool_and_none_waits_for_another():
    # The first caller's workers hold the whole pool until the second caller is done.
    assert_workers_work_at_once(2)
    release, done = threading.Event(), []

    def hold(first, last):
        entered.wait()
        release.wait(30)

    threads = len({t for t in threading.enumerate() if t.name == "edgevae worker"}) + 1
    entered = threading.Barrier(threads + 1, timeout=30)
    holder = threading.Thread(target=run_chunks, args=(threads, 1, threads, hold))
    holder.start()
    entered.wait()
    try:
        run_chunks(5, 1, 2, lambda first, last: done.append(first))
    finally:
        release.set()
        holder.join()
    assert done == [0, 1, 2, 3, 4]  # in the caller's thread alone, so in order


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_a_forked_child_starts_a_pool_of_its_own():
    assert_workers_work_at_once(3)
    child = os.fork()
    if not child:
        try:
            assert_workers_work_at_once(3)
        except BaseException:
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize("failure", [ZeroDivisionError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("in_caller", [True, False])
def test_a_failure_stops_the_rest_and_is_raised(failure, in_caller):
    done, caller = [], threading.current_thread()

    def work(first, last):
        if (threading.current_thread() is caller) == in_caller:
            raise failure
        time.sleep(0.02)
        done.append(first)

    with pytest.raises(failure):
        run_chunks(1000, 1, 2, work)
    assert len(done) < 100
    at_return = len(done)
    time.sleep(0.05)
    assert len(done) == at_return  # no thread of the pool still works
    assert_workers_work_at_once(2)


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

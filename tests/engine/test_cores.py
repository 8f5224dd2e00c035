"""Threads that share a call run on different cores."""

import os
import threading
import time

import pytest

from edgevae import _core
from edgevae.engine import cores, run_chunks
from edgevae.engine.providers import Request
from edgevae.engine.session import open_session

linux = pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="threads are assigned to cores on Linux only"
)
several = pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="this machine has one core")


@pytest.fixture
def allow(monkeypatch):
    """Let the process use these cores only, as far as the module sees."""

    def allow(*allowed):
        monkeypatch.setattr(os, "sched_getaffinity", lambda thread: {*allowed}, raising=False)
        monkeypatch.setattr(cores, "_LINUX", True)

    return allow


def test_each_thread_beside_the_callers_gets_a_core(allow):
    allow(0, 1, 2, 3)
    assert cores.affinities(4) == "2;3;4"
    allow(2, 5)
    assert cores.affinities(2) == "6"


def test_threads_are_not_assigned_if_there_are_more_or_fewer_cores(allow):
    allow(0, 1, 2, 3)
    assert cores.affinities(2) == cores.affinities(1) == cores.affinities(8) == ""
    allow(3)
    assert cores.affinities(1) == cores.affinities(2) == ""


def test_threads_are_not_assigned_elsewhere(monkeypatch):
    monkeypatch.setattr(cores, "_LINUX", False)
    assert cores.affinities(os.cpu_count() or 1) == ""
    assert cores.current() is None


@linux
def test_the_current_core_is_one_that_the_thread_may_use():
    before = os.sched_getaffinity(0)
    try:
        for core in before:
            os.sched_setaffinity(0, {core})
            assert _core.current_core() == cores.current() == core
    finally:
        os.sched_setaffinity(0, before)


@linux
@several
def test_a_session_assigns_its_threads(tiny_paths):
    before = set(os.listdir("/proc/self/task"))
    allowed = os.sched_getaffinity(0)
    path = tiny_paths["grey"] / "decoder.onnx"
    session = open_session(path, (Request("cpu", {}),), precision="float32", threads=len(allowed))
    threads = set(os.listdir("/proc/self/task")) - before
    expected = {frozenset({core}) for core in sorted(allowed)[1:]}
    found: set[frozenset[int]] = set()
    end = time.monotonic() + 30  # each thread assigns itself once it runs
    while not expected <= found and time.monotonic() < end:
        found = {frozenset(os.sched_getaffinity(int(thread))) for thread in threads}
    assert expected <= found
    assert os.sched_getaffinity(0) == allowed
    del session


@linux
@several
def test_workers_leave_the_core_of_their_caller(monkeypatch):
    allowed = os.sched_getaffinity(0)
    for core in sorted(allowed):
        monkeypatch.setattr(cores, "current", lambda core=core: core)
        barrier, found = threading.Barrier(2, timeout=30), {}

        def work(first, last, barrier=barrier, found=found):
            barrier.wait()
            found[threading.get_native_id()] = os.sched_getaffinity(0)

        run_chunks(2, 1, 2, lambda first, last: None)  # starts a thread, which may miss the change
        run_chunks(2, 1, 2, work)
        assert found.pop(threading.get_native_id()) == allowed
        assert [*found.values()] == [allowed - {core}]


@linux
def test_a_thread_stays_where_the_caller_has_one_core(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda thread: {3})
    monkeypatch.setattr(os, "sched_setaffinity", lambda *moved: pytest.fail(str(moved)))
    cores.keep_off(3, [1])


@linux
def test_a_core_that_was_lost_is_no_error(monkeypatch):
    def refuse(thread, allowed):
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(os, "sched_getaffinity", lambda thread: {3, 4})
    monkeypatch.setattr(os, "sched_setaffinity", refuse)
    cores.keep_off(3, [1])

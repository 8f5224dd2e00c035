"""Merged batches give every caller the result of a single call, and no caller waits for ever."""

import asyncio
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import edgevae
from edgevae.errors import InputError, ProviderError

# Sums in another order, over the tiny VAEs' 4 to 64 numbers.
CLOSE = {"rtol": 0, "atol": 1e-6}


@pytest.fixture(scope="module")
def vaes(tiny_paths):
    return {name: edgevae.load(path, "cpu", threads=2) for name, path in tiny_paths.items()}


@pytest.fixture
def grey(vaes):
    return vaes["grey"]


@pytest.fixture
def batcher(grey):
    with edgevae.Batcher(grey) as batcher:
        yield batcher


class Gate:
    """Wraps a VAE's decoder: it records the size of every batch and blocks until it is opened."""

    def __init__(self, vae, monkeypatch):
        self.sizes, self.open, self.entered = [], threading.Event(), threading.Semaphore(0)
        decoder = vae.graph("decoder")
        call = decoder.call

        def gated(inputs, rows, *, threads):
            self.sizes.append(rows)
            self.entered.release()
            assert self.open.wait(30)
            return call(inputs, rows, threads=threads)

        monkeypatch.setattr(decoder, "call", gated)


@pytest.fixture
def gate(tiny_paths, monkeypatch):
    """Return the gate of a VAE with one worker, and that VAE."""
    vae = edgevae.load(tiny_paths["grey"], "cpu", threads=1)
    return Gate(vae, monkeypatch), vae


def until(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


# --- results ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["grey", "colour", "vector"])
def test_threads_get_the_results_of_single_calls(vaes, name):
    vae = vaes[name]
    z, x = vae.sample(200, seed=1), vae.generate(200, seed=2)
    with edgevae.Batcher(vae) as batcher, ThreadPoolExecutor(16) as pool:
        x_hats = [pool.submit(batcher.decode, row) for row in z]
        posteriors = [pool.submit(batcher.encode, row) for row in x]
        for i in range(200):
            x_hat, posterior = x_hats[i].result(), posteriors[i].result()
            assert x_hat.shape == vae.bundle.x_shape
            np.testing.assert_allclose(x_hat, vae.decode(z[i]), **CLOSE)
            expected = vae.encode(x[i])
            assert posterior.mu.shape == expected.mu.shape
            np.testing.assert_allclose(posterior.mu, expected.mu, **CLOSE)
            np.testing.assert_allclose(posterior.logvar, expected.logvar, **CLOSE)


def test_tasks_get_the_results_of_single_calls(grey, batcher):
    z, x = grey.sample(100, seed=1), grey.generate(100, seed=2)

    async def all_of_them():
        decoded = asyncio.gather(*(batcher.adecode(row) for row in z))
        encoded = asyncio.gather(*(batcher.aencode(row) for row in x))
        return await decoded, await encoded

    for _ in range(2):  # an event loop each
        x_hats, posteriors = asyncio.run(all_of_them())
        np.testing.assert_allclose(np.stack(x_hats), grey.decode(z), **CLOSE)
        mu = np.concatenate([posterior.mu for posterior in posteriors])
        np.testing.assert_allclose(mu, grey.encode(x).mu, **CLOSE)


@settings(deadline=None, max_examples=25)
@given(
    callers=st.integers(1, 9), each=st.integers(1, 6), max_batch=st.integers(1, 12),
    max_delay=st.sampled_from([0.0, 0.001]), threads=st.integers(1, 3), seed=st.integers(0, 99),
)  # fmt: skip
def test_results_do_not_depend_on_the_batches(
    tiny_paths, callers, each, max_batch, max_delay, threads, seed
):
    vae = edgevae.load(tiny_paths["vector"], "cpu", threads)
    z = vae.sample(callers * each, seed=seed)
    got = np.empty_like(vae.decode(z))

    def call(first):
        for row in range(first, len(z), callers):
            got[row] = batcher.decode(z[row])

    with edgevae.Batcher(vae, max_batch, max_delay) as batcher:
        crowd = [threading.Thread(target=call, args=(first,)) for first in range(callers)]
        for caller in crowd:
            caller.start()
        for caller in crowd:
            caller.join()
    np.testing.assert_allclose(got, vae.decode(z), **CLOSE)


def test_results_are_the_callers_own(batcher, grey):
    z = grey.sample(2, seed=1)
    first = batcher.decode(z[0])
    kept = first.copy()
    second = batcher.decode(z[:1])
    assert second.shape == (1, *grey.bundle.x_shape)
    second[:] = 7
    batcher.decode(z[1])
    np.testing.assert_array_equal(first, kept)


# --- batches ---------------------------------------------------------------------------------


def test_requests_that_arrive_during_a_batch_form_the_next(gate):
    gate, vae = gate
    with edgevae.Batcher(vae, max_batch=8) as batcher, ThreadPoolExecutor(20) as pool:
        z = vae.sample(20, seed=1)
        futures = [pool.submit(batcher.decode, z[0])]
        assert gate.entered.acquire(timeout=30)
        futures += [pool.submit(batcher.decode, row) for row in z[1:]]
        until(lambda: len(batcher._queues["decoder"].waiting) == 19)
        gate.open.set()
        x_hat = np.stack([future.result() for future in futures])
    assert gate.sizes == [1, 8, 8, 3]
    np.testing.assert_allclose(x_hat, vae.decode(z), **CLOSE)


def test_a_plan_bounds_a_batch(tiny_paths, monkeypatch):
    vae = edgevae.load(tiny_paths["grey"], "cpu", threads=1, chunk=3)
    gate = Gate(vae, monkeypatch)
    with edgevae.Batcher(vae) as batcher, ThreadPoolExecutor(7) as pool:
        first, *rest = vae.sample(7, seed=1)
        futures = [pool.submit(batcher.decode, first)]
        assert gate.entered.acquire(timeout=30)
        futures += [pool.submit(batcher.decode, row) for row in rest]
        until(lambda: len(batcher._queues["decoder"].waiting) == 6)
        gate.open.set()
        assert all(future.result().shape == (1, 8, 8) for future in futures)
    assert gate.sizes == [1, 3, 3]


def test_two_workers_share(tiny_paths, monkeypatch):
    vae = edgevae.load(tiny_paths["grey"], "cpu", threads=2)
    gate = Gate(vae, monkeypatch)
    with edgevae.Batcher(vae) as batcher, ThreadPoolExecutor(22) as pool:
        z = iter(vae.sample(22, seed=1))
        futures = [pool.submit(batcher.decode, next(z))]
        assert gate.entered.acquire(timeout=30)
        futures.append(pool.submit(batcher.decode, next(z)))
        assert gate.entered.acquire(timeout=30)
        futures += [pool.submit(batcher.decode, row) for row in z]
        until(lambda: len(batcher._queues["decoder"].waiting) == 20)
        gate.open.set()
        for future in futures:
            future.result()
    assert gate.sizes[2] == 10
    assert sum(gate.sizes) == 22


def test_a_worker_waits_for_as_many_as_came_before_and_no_longer_than_it_may(gate):
    gate, vae = gate
    gate.open.set()
    z = vae.sample(4, seed=1)
    with edgevae.Batcher(vae, max_delay=60) as batcher, ThreadPoolExecutor(4) as pool:
        batcher.decode(z[0])  # alone: or this would last a minute
        batcher._queues["decoder"].expected_rows = 4
        futures = [pool.submit(batcher.decode, row) for row in z]
        for future in futures:
            future.result()
        assert gate.sizes == [1, 4]
        batcher._max_delay = 0.01
        batcher.decode(z[0])
        assert gate.sizes == [1, 4, 1]
        batcher.decode(z[0])
        assert batcher._queues["decoder"].expected_rows == 1


def test_encoding_and_decoding_wait_in_queues_of_their_own(grey):
    z, x = grey.sample(1, seed=1)[0], grey.generate(1, seed=1)[0]
    with edgevae.Batcher(grey, max_delay=60) as batcher, ThreadPoolExecutor(2) as pool:
        batcher._queues["decoder"].expected_rows = 2
        first = pool.submit(batcher.decode, z)
        until(lambda: batcher._queues["decoder"].waiting)
        assert batcher.encode(x).mu.shape == (1, 4)  # which is due before
        assert not first.done()
        assert pool.submit(batcher.decode, z).result().shape == first.result().shape


def test_waiting_threads_do_not_poll(batcher, grey):
    batcher.decode(grey.sample(1, seed=1)[0])
    before = time.process_time()
    time.sleep(0.5)
    assert time.process_time() - before < 0.2


def cheap(batcher, rows=8):
    """Let callers run batches of at most so many rows of the decoder."""
    queue = batcher._queues["decoder"]
    queue.loop_rows = rows
    return queue


def test_an_event_loop_runs_a_cheap_batch_of_all_ready_tasks_itself(gate, monkeypatch):
    gate, vae = gate
    gate.open.set()
    z = vae.sample(20, seed=1)
    callers = set()
    call = vae.graph("decoder").call

    def noted(inputs, rows, *, threads):
        callers.add(threading.current_thread())
        return call(inputs, rows, threads=threads)

    monkeypatch.setattr(vae.graph("decoder"), "call", noted)

    async def main():
        return await asyncio.gather(*(batcher.adecode(row) for row in z))

    with edgevae.Batcher(vae) as batcher:
        cheap(batcher)
        x_hat = np.stack(asyncio.run(main()))
    assert gate.sizes == [8, 8, 4]
    assert callers == {threading.current_thread()}
    np.testing.assert_allclose(x_hat, vae.decode(z), **CLOSE)


def test_a_cancelled_task_is_left_out_of_the_round_of_its_loop(gate):
    gate, vae = gate
    gate.open.set()
    z = vae.sample(3, seed=1)

    async def main(batcher):
        tasks = [asyncio.create_task(batcher.adecode(row)) for row in z]
        asyncio.get_running_loop().call_soon(tasks[1].cancel)
        return await asyncio.gather(*tasks, return_exceptions=True)

    with edgevae.Batcher(vae) as batcher:
        cheap(batcher)
        first, second, third = asyncio.run(main(batcher))
    assert isinstance(second, asyncio.CancelledError)
    np.testing.assert_allclose(np.stack([first, third]), vae.decode(z[::2]), **CLOSE)


def test_rounds_of_several_event_loops_do_not_mix(vaes):
    vae = vaes["vector"]
    z = vae.sample(60, seed=1)

    async def some(rows):
        return [await batcher.adecode(row) for row in rows]

    with edgevae.Batcher(vae) as batcher, ThreadPoolExecutor(3) as pool:
        cheap(batcher)
        parts = pool.map(lambda rows: asyncio.run(some(rows)), np.split(z, 3))
        x_hat = np.concatenate([np.stack(part) for part in parts])
    np.testing.assert_allclose(x_hat, vae.decode(z), **CLOSE)


def test_a_failure_reaches_all_tasks_of_a_round(gate, monkeypatch):
    _, vae = gate

    def fail(inputs, rows, *, threads):
        raise ProviderError("out of order")

    monkeypatch.setattr(vae.graph("decoder"), "call", fail)

    async def main():
        calls = (batcher.adecode(row) for row in vae.sample(5, seed=1))
        return await asyncio.gather(*calls, return_exceptions=True)

    with edgevae.Batcher(vae) as batcher:
        cheap(batcher)
        errors = asyncio.run(main())
    assert {(type(error), str(error)) for error in errors} == {(ProviderError, "out of order")}
    assert len({id(error) for error in errors}) == 5


def test_a_thread_runs_its_own_item_of_a_cheap_graph(gate, monkeypatch):
    gate, vae = gate
    gate.open.set()
    z = vae.sample(40, seed=1)
    callers = []
    call = vae.graph("decoder").call

    def noted(inputs, rows, *, threads):
        callers.append(threading.current_thread().name)
        return call(inputs, rows, threads=threads)

    monkeypatch.setattr(vae.graph("decoder"), "call", noted)
    batcher = edgevae.Batcher(vae, max_delay=60)
    with batcher, ThreadPoolExecutor(3, "caller") as pool:
        cheap(batcher)
        x_hat = np.stack([*pool.map(batcher.decode, z)])
    assert gate.sizes == [1] * 40
    assert all(name.startswith("caller") for name in callers)
    np.testing.assert_allclose(x_hat, vae.decode(z), **CLOSE)
    with pytest.raises(InputError, match="this Batcher is closed"):
        batcher.decode(z[0])


# --- what goes wrong -------------------------------------------------------------------------


def test_a_bad_item_among_good_ones_fails_alone(batcher, grey):
    z = grey.sample(50, seed=1)
    bad = z.copy()
    bad[::5, 0] = np.nan

    def call(row):
        try:
            return batcher.decode(row)
        except InputError as error:
            return error

    with ThreadPoolExecutor(16) as pool:
        results = list(pool.map(call, bad))
    for i, result in enumerate(results):
        if i % 5:
            np.testing.assert_allclose(result, grey.decode(z[i]), **CLOSE)
        else:
            assert "expected finite numbers" in str(result)


@pytest.mark.parametrize(
    ("verb", "bad", "says"),
    [
        ("decode", np.zeros((3, 4), np.float32), "expected a single item, got 3"),
        ("decode", np.zeros((0, 4), np.float32), "expected a single item, got 0"),
        ("decode", np.zeros(5, np.float32), "z: expected shape"),
        ("encode", np.zeros((2, 1, 8, 8), np.float32), "expected a single item, got 2"),
        ("encode", np.full((1, 8, 8), np.inf, np.float32), "finite"),
    ],
)
def test_an_invalid_item_is_refused(batcher, verb, bad, says):
    with pytest.raises(InputError, match=says):
        getattr(batcher, verb)(bad)
    with pytest.raises(InputError, match=says):
        asyncio.run(getattr(batcher, f"a{verb}")(bad))


def test_a_bundle_that_only_decodes(tinies, tmp_path):
    vae = edgevae.load(tinies["grey"].write(tmp_path / "b", encoder=None, noise=0.0).path, "cpu")
    with edgevae.Batcher(vae) as batcher:
        assert batcher.decode(vae.sample(1, seed=1)[0]).shape == (1, 8, 8)
        with pytest.raises(InputError, match="it only decodes"):
            batcher.encode(np.zeros((1, 8, 8), np.float32))


def test_a_graph_that_fails_fails_everyone_in_its_batch_and_no_one_else(tiny_paths, monkeypatch):
    vae = edgevae.load(tiny_paths["grey"], "cpu", threads=1)
    gate, z = Gate(vae, monkeypatch), vae.sample(6, seed=1)
    gated = vae.graph("decoder").call

    def failing(inputs, rows, *, threads):
        outputs = gated(inputs, rows, threads=threads)
        if rows == 5:
            raise ProviderError("out of order")
        return outputs

    monkeypatch.setattr(vae.graph("decoder"), "call", failing)
    with edgevae.Batcher(vae) as batcher, ThreadPoolExecutor(6) as pool:
        first = pool.submit(batcher.decode, z[0])
        assert gate.entered.acquire(timeout=30)
        rest = [pool.submit(batcher.decode, row) for row in z[1:]]
        until(lambda: len(batcher._queues["decoder"].waiting) == 5)
        gate.open.set()
        errors = [future.exception() for future in rest]
        assert first.exception() is None
        assert {(type(error), str(error)) for error in errors} == {(ProviderError, "out of order")}
        assert len({id(error) for error in errors}) == 5
        assert batcher.decode(z[0]).shape == (1, 8, 8)


@pytest.mark.parametrize("value", [0, -1, True, 1.5, "8"])
def test_a_bad_max_batch_is_refused(grey, value):
    with pytest.raises(InputError, match="max_batch: expected a whole number at least 1"):
        edgevae.Batcher(grey, max_batch=value)


@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf"), "soon", None])
def test_a_bad_max_delay_is_refused(grey, value):
    with pytest.raises(InputError, match="max_delay: expected a finite number of at least 0"):
        edgevae.Batcher(grey, max_delay=value)


# --- cancellation ----------------------------------------------------------------------------


def test_a_cancelled_task_takes_its_item_back(gate):
    gate, vae = gate
    z = vae.sample(3, seed=1)

    async def main(batcher):
        first = asyncio.create_task(batcher.adecode(z[0]))
        while not gate.sizes:
            await asyncio.sleep(0.001)
        second, third = (asyncio.create_task(batcher.adecode(row)) for row in z[1:])
        while len(batcher._queues["decoder"].waiting) < 2:
            await asyncio.sleep(0.001)
        second.cancel()
        await asyncio.wait([second])
        assert len(batcher._queues["decoder"].waiting) == 1
        first.cancel()  # which is being run
        await asyncio.wait([first])
        gate.open.set()
        assert second.cancelled()
        assert first.cancelled()
        return await third

    with edgevae.Batcher(vae) as batcher:
        x_hat = asyncio.run(main(batcher))
    assert gate.sizes == [1, 1]
    np.testing.assert_allclose(x_hat, vae.decode(z[2]), **CLOSE)


def test_a_closed_loop_disturbs_no_other_request(gate):
    gate, vae = gate
    z = vae.sample(2, seed=1)

    async def leave():
        loop = asyncio.get_running_loop()
        waiting.append(loop.create_task(batcher.adecode(z[0])))
        await asyncio.sleep(0)
        loop.stop()  # no clean-up: the task is never told

    with edgevae.Batcher(vae) as batcher:
        loop = asyncio.new_event_loop()
        waiting = [loop.create_task(leave())]
        loop.run_forever()
        assert gate.entered.acquire(timeout=30)
        loop.close()
        gate.open.set()
        assert batcher.decode(z[1]).shape == (1, 8, 8)
    for task in waiting:
        task._log_destroy_pending = False


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot send an interrupt")
def test_an_interrupted_caller_takes_its_item_back(gate):
    gate, vae = gate
    z = vae.sample(2, seed=1)
    with edgevae.Batcher(vae) as batcher, ThreadPoolExecutor(1) as pool:
        first = pool.submit(batcher.decode, z[0])
        assert gate.entered.acquire(timeout=30)

        def interrupt():
            until(lambda: batcher._queues["decoder"].waiting)
            os.kill(os.getpid(), signal.SIGINT)

        interrupter = threading.Thread(target=interrupt)
        interrupter.start()
        with pytest.raises(KeyboardInterrupt):
            batcher.decode(z[1])
        interrupter.join()
        assert not batcher._queues["decoder"].waiting
        gate.open.set()
        assert first.result().shape == (1, 8, 8)


# --- the end ---------------------------------------------------------------------------------


def test_closing_serves_waiting_requests_and_refuses_new_ones(gate):
    gate, vae = gate
    z, before = vae.sample(30, seed=1), threading.active_count()
    batcher = edgevae.Batcher(vae, max_batch=4, max_delay=60)
    with ThreadPoolExecutor(30) as pool:
        futures = [pool.submit(batcher.decode, z[0])]
        assert gate.entered.acquire(timeout=30)
        futures += [pool.submit(batcher.decode, row) for row in z[1:]]
        until(lambda: len(batcher._queues["decoder"].waiting) == 29)
        closer = threading.Thread(target=batcher.close)
        closer.start()
        until(lambda: batcher._closed)
        with pytest.raises(InputError, match="this Batcher is closed"):
            batcher.decode(z[0])
        gate.open.set()
        closer.join()
        x_hat = np.stack([future.result() for future in futures])
    np.testing.assert_allclose(x_hat, vae.decode(z), **CLOSE)
    with pytest.raises(InputError, match="this Batcher is closed"):
        asyncio.run(batcher.adecode(z[0]))
    batcher.close()
    assert threading.active_count() == before


def test_the_end_of_a_with_closes(grey):
    with pytest.raises(ZeroDivisionError), edgevae.Batcher(grey) as batcher:
        1 / 0  # noqa: B018
    with pytest.raises(InputError, match="closed"):
        batcher.decode(grey.sample(1, seed=1)[0])


def test_a_process_ends_without_close(tiny_paths):
    code = f"""
import atexit, threading, edgevae
vae = edgevae.load({os.fspath(tiny_paths["grey"])!r}, "cpu", threads=2)
callers = []
# Runs after the Batcher's own handler, which closes it. No caller may outlive the interpreter.
atexit.register(lambda: [caller.join() for caller in callers])
batcher, z = edgevae.Batcher(vae), vae.sample(1, seed=1)[0]
def forever():
    try:
        while True:
            batcher.decode(z)
    except edgevae.InputError:  # the Batcher is closed
        pass
for _ in range(4):
    callers.append(threading.Thread(target=forever, daemon=True))
    callers[-1].start()
batcher.decode(z)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, capture_output=True)


def test_a_batcher_is_not_pickled(batcher):
    with pytest.raises(TypeError, match="holds threads and cannot be pickled: send its VAE"):
        pickle.dumps(batcher)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_child_is_refused_and_may_make_its_own(tiny_paths):
    """The test runs in a fresh interpreter, since a fork copies the locks of all threads."""
    code = f"""
import os, edgevae
vae = edgevae.load({os.fspath(tiny_paths["grey"])!r}, "cpu", threads=2)
z = vae.sample(1, seed=1)[0]
batcher = edgevae.Batcher(vae)
batcher.decode(z)
if not (child := os.fork()):
    try:
        batcher.decode(z)
    except edgevae.InputError as error:
        assert "belongs to the process that forked: create another" in str(error)
    batcher.close()
    with edgevae.Batcher(vae) as own:
        own.decode(z)
    raise SystemExit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
batcher.decode(z)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)

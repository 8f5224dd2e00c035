"""What is measured decides: the smallest of the good sizes, in a race that noise does not end."""

import time

import pytest

import edgevae
from edgevae.diagnostics import tune


def clock(monkeypatch, cost):
    """A clock that only work moves: by cost(rows) seconds for each chunk, in one worker."""
    now = [0.0]
    monkeypatch.setattr(tune.time, "perf_counter", lambda: now[0])

    def work(first, last):
        now[0] += cost(last - first)

    return work


@pytest.mark.parametrize(
    ("cost", "chunk"),
    [
        (lambda n: 0.001 * n, 1),  # all are the same: the smallest
        (lambda n: 0.1 + 0.001 * n, 512),  # the more the better
        (lambda n: 0.001 * n * (1 if n <= 16 else 2) + 0.01, 16),  # until a cache is full
    ],
)
def test_the_smallest_of_the_best_is_taken(monkeypatch, cost, chunk):
    rates = tune.measure_chunk(clock(monkeypatch, cost), 1024, 1, seconds=30)
    assert rates[chunk] == pytest.approx(chunk / cost(chunk))
    assert tune.best_chunk(rates) == chunk


def test_sizes_that_fall_are_not_climbed(monkeypatch):
    work = clock(monkeypatch, lambda n: 0.001 * n**2)
    assert [*tune.measure_chunk(work, 1024, 1, seconds=5)] == [1, 2, 4]


def test_one_slow_moment_ends_no_race(monkeypatch):
    slow = iter([5.0, 5.0])
    work = clock(monkeypatch, lambda n: 0.1 + 0.001 * n + (next(slow, 0.0) if n == 8 else 0.0))
    rates = tune.measure_chunk(work, 1024, 1, seconds=60)
    assert tune.best_chunk(rates) == 512
    assert rates[8] == pytest.approx(8 / 0.108)


@pytest.mark.parametrize(("rows", "workers", "largest"), [(100, 2, 32), (1, 1, 1), (3, 3, 1)])
def test_every_worker_has_a_chunk(rows, workers, largest):
    seen = []
    rates = tune.measure_chunk(
        lambda first, last: seen.append((first, last)), rows, workers, seconds=0
    )
    assert max(rates) == largest
    assert max(last for _, last in seen) <= rows


@pytest.mark.parametrize(
    ("calls", "rows"),
    [
        ({1: 0.9, 2: 0.8}, 0),
        ({1: 2.0, 2: 1.5, 4: 1.1, 8: 0.7}, 4),
        ({1: 0.9, 2: 3.0, 4: 0.6, 8: 1.2, 16: 0.5}, 2),  # the first is an accident
        ({1: 1.2, 2: 1.2, 4: 1.2}, 4),
    ],
)
def test_one_call_serves_as_many_rows_as_it_is_better_for(calls, rows):
    assert tune.best_single_call_rows(calls) == rows


def test_calls_are_compared_with_workers(monkeypatch):
    def rest(n):
        time.sleep(0.002 * n)

    calls = tune.measure_calls(
        lambda first, last: rest((last - first) / 4),
        lambda first, last: rest(last - first),
        chunk=2,
        workers=2,
        seconds=0,
    )
    assert [*calls] == [1, 2, 4]
    assert calls[1] > 1  # four threads at one row against one


def test_every_graph_of_a_vae_is_measured(tiny_paths):
    vae = edgevae.load(tiny_paths["vector"], "cpu", threads=2, chunk=3)
    found = {each.role: each for each in tune.measure(vae, seconds=0)}
    assert [*found] == ["encoder", "decoder"]
    for each in found.values():
        assert each.tuned.chunk in each.rates
        assert each.tuned.single_call_rows in {0, *each.calls}
        text = tune.table("float32", each)
        assert f"{each.role} in float32" in text
        assert text.count("<- chunk") == 1


def test_one_thread_needs_no_threshold(tiny_paths):
    vae = edgevae.load(tiny_paths["vector"], "cpu", threads=1)
    for each in tune.measure(vae, seconds=0):
        assert each.calls == {}
        assert each.tuned.single_call_rows == each.tuned.chunk

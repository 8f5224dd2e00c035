"""Measurements decide: the smallest of the nearly best sizes, whatever single figures say."""

import threading

import pytest

import edgevae
from edgevae.diagnostics import tune


class Clock:
    """A clock that only work moves, so that no measurement depends on this machine.

    The cost of a chunk is added by whichever worker runs it: workers take turns on it.
    """

    def __init__(self):
        self.now = 0.0
        self._lock = threading.Lock()

    def __call__(self):
        return self.now

    def work(self, cost):
        """Return work(first, last), which takes cost(rows) seconds."""

        def run(first, last):
            with self._lock:
                self.now += cost(last - first)

        return run


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(tune.time, "perf_counter", clock)
    return clock


@pytest.mark.parametrize(
    ("cost", "chunk"),
    [
        (lambda n: 0.001 * n, 1),  # all are the same: the smallest
        (lambda n: 0.1 + 0.001 * n, 512),  # the more the better
        (lambda n: 0.001 * n * (1 if n <= 16 else 2) + 0.01, 16),  # until a cache is full
    ],
)
def test_the_smallest_of_the_best_is_taken(clock, cost, chunk):
    rates = tune.measure_chunk(clock.work(cost), 1024, 1, seconds=30)
    assert rates[chunk] == pytest.approx(chunk / cost(chunk))
    assert tune.best_chunk(rates) == chunk


def test_sizes_after_two_slow_ones_are_not_measured(clock):
    work = clock.work(lambda n: 0.001 * n**2)
    assert [*tune.measure_chunk(work, 1024, 1, seconds=5)] == [1, 2, 4]


def test_a_slow_moment_decides_nothing(clock):
    slow = iter([5.0, 5.0])
    work = clock.work(lambda n: 0.1 + 0.001 * n + (next(slow, 0.0) if n == 8 else 0.0))
    rates = tune.measure_chunk(work, 1024, 1, seconds=60)
    assert tune.best_chunk(rates) == 512
    assert rates[8] == pytest.approx(8 / 0.108)


@pytest.mark.parametrize(("rows", "workers", "largest"), [(100, 2, 32), (1, 1, 1), (3, 3, 1)])
def test_every_worker_has_a_chunk(clock, rows, workers, largest):
    work, stretches = clock.work(lambda n: 0.001 * n), []

    def recorded(first, last):
        stretches.append((first, last))
        work(first, last)

    rates = tune.measure_chunk(recorded, rows, workers, seconds=0)
    assert max(rates) == largest
    assert max(last for _, last in stretches) <= rows


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


def test_calls_are_compared_with_workers(clock):
    calls = tune.measure_calls(
        clock.work(lambda n: 0.002 * n / 4),
        clock.work(lambda n: 0.002 * n),
        chunk=2,
        workers=2,
        seconds=0,
    )
    assert [*calls] == [1, 2, 4]
    assert calls[1] == pytest.approx(4)  # four threads at one row against one


def test_every_graph_of_a_bundle_is_measured(tiny_paths):
    runner = edgevae.load(tiny_paths["vector"], "cpu", threads=2, chunk=3).runner
    measurements = {each.role: each for each in tune.measure(runner, seconds=0)}
    assert [*measurements] == ["encoder", "decoder"]
    for each in measurements.values():
        assert each.tuned.chunk in each.rates
        assert each.tuned.single_call_rows in {0, *each.calls}
        text = tune.table("float32", each)
        assert f"{each.role} in float32" in text
        assert text.count("<- chunk") == 1


def test_one_thread_needs_no_threshold(tiny_paths):
    runner = edgevae.load(tiny_paths["vector"], "cpu", threads=1).runner
    for each in tune.measure(runner, seconds=0):
        assert each.calls == {}
        assert each.tuned.single_call_rows == each.tuned.chunk

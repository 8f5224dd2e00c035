"""Measurements decide: the smallest of the nearly best sizes, whatever single figures say."""

import threading

import pytest

from edgevae.diagnostics.tune import rates
from edgevae.diagnostics.tune.rates import Division, FewRows, Stopwatch
from edgevae.engine import plans


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
        """Return work(first, last, threads), which takes cost(rows, threads) seconds."""

        def run(first, last, threads):
            with self._lock:
                self.now += cost(last - first, threads)

        return run

    def candidate(self, rates):
        """Return a candidate of a race whose measurements take a second and give these rates."""

        def measure():
            self.now += 1.0
            return next(rates)

        return measure


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(rates.time, "perf_counter", clock)
    monkeypatch.setattr(rates.time, "sleep", lambda seconds: None)
    return clock


def forever(*first, then):
    yield from first
    while True:
        yield then


@pytest.mark.parametrize(
    ("cost", "chunk"),
    [
        (lambda n, _: 0.001 * n, 1),  # all are the same: the smallest
        (lambda n, _: 0.1 + 0.001 * n, 512),  # the more the better
        (lambda n, _: 0.001 * n * (1 if n <= 16 else 2) + 0.01, 16),  # until a cache is full
    ],
)
def test_the_smallest_of_the_best_is_taken(clock, cost, chunk):
    found = rates.best_division(clock.work(cost), 1024, plans.CHUNK_SIZES, [(1, 1)], 30)
    division, rate = next(iter(found.items()))
    assert division == Division(chunk, 1, 1)
    assert rate == pytest.approx(chunk / cost(chunk, 1))


def test_workers_and_threads_are_compared_too(clock):
    """One worker of four threads is faster than four of one, with chunks four times as large."""
    work = clock.work(lambda n, threads: 0.01 + 0.001 * n / (2 if threads == 4 else 1))
    ways = rates.splits(4)
    assert ways == [(4, 1), (2, 2), (1, 4)]
    found = rates.best_division(work, 64, plans.CHUNK_SIZES, ways, 10)
    assert next(iter(found)) == Division(64, 1, 4)
    assert {(d.workers, d.threads) for d in found} == set(ways)


@pytest.mark.parametrize(
    ("threads", "ways"), [(1, [(1, 1)]), (6, [(6, 1), (3, 2), (2, 3), (1, 6)])]
)
def test_splits_use_all_threads(threads, ways):
    assert rates.splits(threads) == ways


def test_a_slow_moment_decides_nothing(clock):
    slow = iter([0.0, 5.0, 0.0])
    work = clock.work(lambda n, _: 0.1 + 0.001 * n + (next(slow, 0.0) if n == 8 else 0.0))
    found = rates.best_division(work, 1024, plans.CHUNK_SIZES, [(1, 1)], 60)
    assert next(iter(found)).chunk == 512
    assert found[Division(8, 1, 1)] == pytest.approx(8 / 0.108)


@pytest.mark.parametrize(("rows", "workers", "largest"), [(100, 2, 32), (1, 1, 1), (3, 3, 1)])
def test_every_worker_has_a_chunk(clock, rows, workers, largest):
    work, stretches = clock.work(lambda n, _: 0.001 * n), []

    def recorded(first, last, threads):
        stretches.append((first, last))
        work(first, last, threads)

    found = rates.best_division(recorded, rows, plans.CHUNK_SIZES, [(workers, 1)], 0)
    assert max(division.chunk for division in found) == largest
    assert max(last for _, last in stretches) <= rows


def test_candidates_take_turns_and_slow_ones_drop_out(clock):
    turns = []

    def counted(key, measure):
        def run():
            turns.append(key)
            return measure()

        return run

    candidates = {
        "fast": counted("fast", clock.candidate(forever(then=100.0))),
        "slow": counted("slow", clock.candidate(forever(then=50.0))),
    }
    measured, failures = rates.race(candidates, seconds=20)
    assert (measured, failures) == ({"fast": 100.0, "slow": 50.0}, {})
    assert turns[:8] == ["fast", "slow"] * 4  # one that is not counted, and three rounds
    assert set(turns[8:]) == {"fast"}
    assert len(turns[8:]) >= 10


def test_a_busy_moment_at_the_start_drops_nobody(clock):
    """The first rounds measure all, so that one slow figure does not exclude a candidate."""
    busy = clock.candidate(forever(1.0, 1.0, then=100.0))
    steady = clock.candidate(forever(then=90.0))
    measured, _ = rates.race({"busy": busy, "steady": steady}, seconds=30)
    assert measured == {"busy": 100.0, "steady": 90.0}


def test_a_candidate_that_fails_leaves_the_others(clock):
    def late():
        yield from (1.0, 2.0)
        raise RuntimeError("out of memory")

    def early():
        raise ValueError("no such graph")

    candidates = {
        "early": early,
        "late": clock.candidate(late()),
        "good": clock.candidate(forever(then=3.0)),
    }
    measured, failures = rates.race(candidates, seconds=5)
    assert measured == {"good": 3.0}
    assert {key: str(error) for key, error in failures.items()} == {
        "early": "no such graph",
        "late": "out of memory",
    }
    assert rates.race({"early": early}, seconds=5)[0] == {}


def test_all_divisions_that_fail_are_an_error(clock):
    def work(first, last, threads):
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        rates.best_division(work, 4, plans.CHUNK_SIZES, [(1, 1)], 0)


def test_a_stopwatch_gives_every_worker_whole_chunks(clock):
    lengths = []

    def work(first, last, threads):
        assert threads == 2
        lengths.append(last - first)
        clock.now += 0.001

    stopwatch = Stopwatch(work, 1000, Division(8, 1, 2))
    assert stopwatch() == pytest.approx(8000)
    assert lengths == [8, 8]  # the first is not counted
    assert stopwatch() == pytest.approx(8000)
    assert lengths == [8] * 23  # 0.02 seconds at that rate, and one that is not counted


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
    slower = {n: FewRows(call, 0.5) for n, call in calls.items()}
    assert rates.single_call_rows(slower) == rows
    assert rates.worker_rows(slower) == 1
    as_good = {n: FewRows(1.2 * call, 1.2) for n, call in calls.items()}  # as one worker
    assert rates.single_call_rows(as_good) == rows


@pytest.mark.parametrize(
    ("ones", "rows"), [({1: 0.9, 2: 0.8}, 1), ({1: 3, 2: 2, 4: 1.5, 8: 0.6}, 3)]
)
def test_a_worker_is_woken_for_enough_rows(ones, rows):
    """Up to 4 rows one worker is faster, so that two workers have at least 3 rows each."""
    assert rates.worker_rows({n: FewRows(0.5, one) for n, one in ones.items()}) == rows


def test_few_rows_are_one_call_or_go_to_one_worker_or_to_all(clock):
    work = clock.work(lambda n, threads: 0.002 * n / (4 if threads == 4 else 1))
    measured = rates.few_rows(work, Division(2, 2, 1), 4, 1024, 0)
    assert [*measured] == [1, 2, 4]
    assert measured[1] == pytest.approx((4, 1))  # four threads at one row against one

"""The stages that measure one role: all graphs briefly, the leaders in detail, a last round."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from edgevae.diagnostics.tune import rates
from edgevae.diagnostics.tune.candidates import Candidate, words
from edgevae.diagnostics.tune.rates import Division, FewRows, Stopwatch, Work
from edgevae.diagnostics.tune.workload import workload
from edgevae.engine import Runner, TunedPlan, plans

# A provider that is slower than this share of the fastest one of its precision in the short round
# is not measured in detail.
_LEADING = 0.5
# The factors of the planned chunk at which the short round measures a graph.
_SHORT_FACTORS = (0.25, 1, 4)
# The longest time in seconds in which each worker should run one chunk.
_LONGEST_CHUNK = 0.5
# The shares of the stages in the time for one graph: the short round, the sweep of divisions, the
# ways to run a few rows, and the last round.
_SHORT, _SWEEP, _FEW, _LAST = 0.2, 0.4, 0.2, 0.2

Setting = tuple[str, str]  # a provider and a precision


class Detail(NamedTuple):
    """The measurements of a setting's fastest graph, and the plan that follows from them.

    `division` is the best one. `divisions` has the rows per second of all, and `few_rows` the
    speed-ups of other ways to run a few rows; both are empty for a setting far behind the leaders.
    """

    division: Division
    divisions: Mapping[Division, float]
    few_rows: Mapping[int, FewRows]
    plan: TunedPlan


class RoleTimes:
    """The measurements of a role on runners that passed the self-check; `stages` takes them.

    Afterwards `graphs` has the rate of each candidate in the short round, `refused` the reason for
    each that failed in it, and `details` the result of each setting.
    """

    def __init__(
        self, role: str, runners: Mapping[Candidate, Runner], threads: int, seconds: float
    ) -> None:
        self._role = role
        self._runners = runners
        self._threads = threads
        self._seconds = seconds
        larger = max(map(_larger, runners.values()))
        most = larger * plans.CHUNK_SIZES[-1] * max(2, threads)
        first = next(iter(runners.values()))
        self._rows, work_of = workload(first, role, most)
        self._works = {each: work_of(runner) for each, runner in runners.items()}
        self.graphs: dict[Candidate, float] = {}
        self.refused: dict[Candidate, str] = {}
        self.details: dict[Setting, Detail] = {}

    def stages(self) -> Iterator[None]:
        """Measure; yield after each stage, and after each setting of the second."""
        divisions = self._short_round()
        yield
        best: dict[Setting, Candidate] = {}
        for candidate in sorted(divisions, key=self.graphs.__getitem__, reverse=True):
            best.setdefault(candidate[:2], candidate)
        for setting in dict.fromkeys(candidate[:2] for candidate in divisions):
            candidate = best[setting]
            self.details[setting] = self._detail(candidate, divisions[candidate])
            yield
        self._last_round({setting: self._works[best[setting]] for setting in self.details})
        yield

    def _short_round(self) -> dict[Candidate, Division]:
        """Measure all candidates with a few chunks; return the best division of each."""
        stopwatches = {
            (candidate, division): Stopwatch(self._works[candidate], self._rows, division)
            for candidate, runner in self._runners.items()
            for division in self._few_divisions(runner)
        }
        seconds = _SHORT * self._seconds * len(self._runners)
        measured, failures = rates.race(stopwatches, seconds)
        best: dict[Candidate, Division] = {}
        for candidate in self._runners:
            own = {
                division: rate for (each, division), rate in measured.items() if each == candidate
            }
            if own:
                best[candidate] = max(own, key=own.__getitem__)
                self.graphs[candidate] = own[best[candidate]]
            else:
                errors = (error for (each, _), error in failures.items() if each == candidate)
                self.refused[candidate] = words(next(errors))
        return best

    def _few_divisions(self, runner: Runner) -> list[Division]:
        plan = runner.plan(self._role)
        most = max(1, self._rows // plan.workers)
        chunks = (min(most, max(1, int(factor * plan.chunk))) for factor in _SHORT_FACTORS)
        return [Division(chunk, plan.workers, plan.threads) for chunk in dict.fromkeys(chunks)]

    def _detail(self, candidate: Candidate, division: Division) -> Detail:
        """Return the plan of a setting, by detailed measurements if it is one of the leaders."""
        rate = self.graphs[candidate]
        planned = self._runners[candidate].plan(self._role)
        single, least = planned.single_call_rows, planned.worker_rows
        divisions: Mapping[Division, float] = {}
        few: Mapping[int, FewRows] = {}
        rivals = [r for each, r in self.graphs.items() if each.precision == candidate.precision]
        if rate >= _LEADING * max(rivals):
            try:
                divisions = self._sweep(candidate, rate)
                division, rate = next(iter(divisions.items()))
                few = self._few_rows(candidate, division)
                single, least = division.chunk, 1
                if few:
                    single, least = rates.single_call_rows(few), rates.worker_rows(few)
            except Exception as error:  # of any kind: a provider may raise its own
                self.refused[candidate] = words(error)
        plan = TunedPlan(candidate.target, division.chunk, single, *division[1:], least, rate)
        return Detail(division, divisions, few, plan)

    def _sweep(self, candidate: Candidate, rate: float) -> dict[Division, float]:
        """Return the rates of divisions, the best first; chunks are bounded by their time too."""
        larger = _larger(self._runners[candidate])
        planned = self._runners[candidate].plan(self._role)
        ways = _ways(candidate.provider, (planned.workers, planned.threads), self._threads)
        rows = min(self._rows, max(ways[0][0], int(rate * _LONGEST_CHUNK)))
        sizes = [larger * size for size in plans.CHUNK_SIZES]
        seconds = _SWEEP * self._seconds
        return rates.best_division(self._works[candidate], rows, sizes, ways, seconds)

    def _few_rows(self, candidate: Candidate, division: Division) -> dict[int, FewRows]:
        """Return the speed-ups for a few rows; none for one worker, whose chunk is one call."""
        if division.workers == 1:
            return {}
        work, seconds = self._works[candidate], _FEW * self._seconds
        return rates.few_rows(work, division, self._threads, self._rows, seconds)

    def _last_round(self, works: Mapping[Setting, Work]) -> None:
        """Measure the plans of the leaders again, side by side."""
        leaders = {
            setting: Stopwatch(works[setting], self._rows, detail.division)
            for setting, detail in self.details.items()
            if detail.divisions
        }
        if len(leaders) < 2:
            return
        measured, _ = rates.race(leaders, _LAST * self._seconds * len(leaders))
        for setting, rate in measured.items():
            plan = self.details[setting].plan._replace(rows_per_second=rate)
            self.details[setting] = self.details[setting]._replace(plan=plan)


def _larger(runner: Runner) -> int:
    """Return the factor by which chunks are larger than on a CPU."""
    return 1 if runner.device_type == "CPU" else plans.ACCELERATED


def _ways(provider: str, planned: tuple[int, int], threads: int) -> list[tuple[int, int]]:
    """Return the numbers of workers and of threads of each to compare, the planned one first.

    Other providers than the CPU have their own parallelism, which one or two workers keep busy.
    """
    more = [] if provider == "cpu" else [(1, threads), (2, threads)]
    return [*dict.fromkeys([planned, *more, *rates.splits(threads)])]

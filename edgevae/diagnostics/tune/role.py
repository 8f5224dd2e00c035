"""The stages that measure one role: all graphs briefly, the leaders in detail, a last round."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from edgevae.diagnostics.tune import rates
from edgevae.diagnostics.tune.candidates import Candidate, words
from edgevae.diagnostics.tune.confirm import confirmed, is_faster
from edgevae.diagnostics.tune.rates import Division, FewRows, Stopwatch, Work
from edgevae.diagnostics.tune.workload import workload
from edgevae.engine import Plan, Runner, TunedPlan, plans

# A provider that is slower than this share of the fastest one of its precision in the short round
# is not measured in detail, unless it is the CPU, which takes over where another one refuses.
_LEADING = 0.5
# The factors of the planned chunk at which the short round measures a graph.
_SHORT_FACTORS = (0.25, 1, 4)
# The longest time in seconds in which each worker should run one chunk.
_LONGEST_CHUNK = 0.5
# The rows that a plan is confirmed with take this many seconds, if a plan does not need more.
_CONFIRMED_ROWS = 0.02
# The shares of the stages in the time for one graph: the short round, the sweep of divisions, the
# ways to run a few rows, each confirmation of a change, and the last round.
_SHORT, _SWEEP, _FEW, _CONFIRM, _LAST = 0.15, 0.35, 0.2, 0.1, 0.1

Backend = tuple[str, str]  # a provider and a precision


class Detail(NamedTuple):
    """The measurements of a backend's fastest graph, and the plan that follows from them.

    `divisions` has the rows per second of the divisions of many rows, and `few_rows` the speed-ups
    of other ways to run a few rows; both are empty for a backend far behind the leaders. `kept` is
    True if no change of the plan that holds without a tuning was faster beyond the noise.
    """

    divisions: Mapping[Division, float]
    few_rows: Mapping[int, FewRows]
    plan: TunedPlan
    kept: bool


class RoleTimes:
    """The measurements of a role on runners that passed the self-check; `stages` takes them.

    Afterwards `graphs` has the rate of each candidate in the short round, `refused` the reason for
    each that failed in it, and `details` the result of each backend.
    """

    def __init__(
        self, role: str, runners: Mapping[Candidate, Runner], threads: int, seconds: float
    ) -> None:
        self._role = role
        self._runners = runners
        self._threads = threads
        self._seconds = seconds
        largest = max(_sizes(runner, role)[-1] for runner in runners.values())
        first = next(iter(runners.values()))
        self._rows, work_of = workload(first, role, largest * max(2, threads))
        self._works = {each: work_of(runner) for each, runner in runners.items()}
        self.graphs: dict[Candidate, float] = {}
        self.refused: dict[Candidate, str] = {}
        self.details: dict[Backend, Detail] = {}

    def stages(self) -> Iterator[None]:
        """Measure; yield after each stage, and after each backend of the second."""
        divisions = self._short_round()
        yield
        best: dict[Backend, Candidate] = {}
        for backend in dict.fromkeys(candidate[:2] for candidate in divisions):
            best[backend] = self._best_graph(backend, divisions)
            self.details[backend] = self._detail(best[backend], divisions[best[backend]])
            yield
        self._last_round({backend: self._works[best[backend]] for backend in self.details})
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

    def _best_graph(self, backend: Backend, divisions: Mapping[Candidate, Division]) -> Candidate:
        """Return the graph that suits the backend by its target, unless another one is faster."""
        suitable, *others = (each for each in divisions if each[:2] == backend)
        if not others:
            return suitable
        fastest = max(others, key=self.graphs.__getitem__)
        other, present = (
            Stopwatch(self._works[each], self._rows, divisions[each])
            for each in (fastest, suitable)
        )
        return fastest if is_faster(other, present, _CONFIRM * self._seconds) else suitable

    def _detail(self, candidate: Candidate, division: Division) -> Detail:
        """Return the plan of a backend, by detailed measurements if it is one of the leaders."""
        rate = self.graphs[candidate]
        planned = self._runners[candidate].plan(self._role)
        rivals = [r for each, r in self.graphs.items() if each.precision == candidate.precision]
        if candidate.provider == "cpu" or rate >= _LEADING * max(rivals):
            try:
                return self._measured(candidate, planned, rate)
            except Exception as error:  # of any kind: a provider may raise its own
                self.refused[candidate] = words(error)
        # The division that ran in the short round, since the planned one may be what failed.
        plan = planned._replace(**division._asdict())
        return Detail({}, {}, _tuned(candidate, plan, rate), plan == planned)

    def _measured(self, candidate: Candidate, planned: Plan, rate: float) -> Detail:
        """Return the plan in which each change from the planned one was confirmed."""
        divisions = self._sweep(candidate, planned, rate)
        division = next(iter(divisions))
        plan = self._confirmed(candidate, planned._replace(**division._asdict()), planned, rate)
        division = Division(plan.chunk, plan.workers, plan.threads)
        few = self._few_rows(candidate, division)
        single, least = plan.chunk, 1
        if few:
            single, least = rates.single_call_rows(few), rates.worker_rows(few)
        other = plan._replace(single_call_rows=single, worker_rows=least)
        plan = self._confirmed(candidate, other, plan, rate)
        rate = divisions.get(division, rate)
        return Detail(divisions, few, _tuned(candidate, plan, rate), plan == planned)

    def _confirmed(self, candidate: Candidate, other: Plan, present: Plan, rate: float) -> Plan:
        most, seconds = int(rate * _CONFIRMED_ROWS), _CONFIRM * self._seconds
        return confirmed(self._works[candidate], other, present, most, self._rows, seconds)

    def _sweep(self, candidate: Candidate, planned: Plan, rate: float) -> dict[Division, float]:
        """Return the rates of divisions, the best first; chunks are bounded by their time too."""
        ways = _ways(candidate.provider, (planned.workers, planned.threads), self._threads)
        rows = min(self._rows, max(ways[0][0], int(rate * _LONGEST_CHUNK)))
        sizes = _sizes(self._runners[candidate], self._role)
        seconds = _SWEEP * self._seconds
        return rates.best_division(self._works[candidate], rows, sizes, ways, seconds)

    def _few_rows(self, candidate: Candidate, division: Division) -> dict[int, FewRows]:
        """Return the speed-ups for a few rows; none for one worker, whose chunk is one call."""
        if division.workers == 1:
            return {}
        work, seconds = self._works[candidate], _FEW * self._seconds
        return rates.few_rows(work, division, self._threads, self._rows, seconds)

    def _last_round(self, works: Mapping[Backend, Work]) -> None:
        """Measure the plans of the leaders again, side by side."""
        leaders = {
            backend: Stopwatch(
                works[backend],
                self._rows,
                Division(detail.plan.chunk, detail.plan.workers, detail.plan.threads),
            )
            for backend, detail in self.details.items()
            if detail.divisions
        }
        if len(leaders) < 2:
            return
        measured, _ = rates.race(leaders, _LAST * self._seconds * len(leaders))
        for backend, rate in measured.items():
            plan = self.details[backend].plan._replace(rows_per_second=rate)
            self.details[backend] = self.details[backend]._replace(plan=plan)


def _tuned(candidate: Candidate, plan: Plan, rate: float) -> TunedPlan:
    return TunedPlan(
        candidate.target,
        plan.chunk,
        plan.single_call_rows,
        plan.workers,
        plan.threads,
        plan.worker_rows,
        rate,
    )


def _sizes(runner: Runner, role: str) -> list[int]:
    """Return the chunks to measure, in ascending order: powers of two, and the planned one.

    An accelerator's are larger by the factor of its plans. The largest one is at least twice the
    planned one.
    """
    planned = runner.plan(role).chunk
    larger = 1 if runner.device_type == "CPU" else plans.ACCELERATED
    sizes = [larger * size for size in plans.CHUNK_SIZES]
    while sizes[-1] < 2 * planned:
        sizes.append(2 * sizes[-1])
    return sorted({*sizes, planned})


def _ways(provider: str, planned: tuple[int, int], threads: int) -> list[tuple[int, int]]:
    """Return the numbers of workers and of threads of each to compare, the planned one first.

    Other providers than the CPU have their own parallelism, which one or two workers keep busy.
    """
    more = [] if provider == "cpu" else [(1, threads), (2, threads)]
    return [*dict.fromkeys([planned, *more, *rates.splits(threads)])]

"""The result of a tuning as text."""

from collections.abc import Iterator

from edgevae.diagnostics.tune.role import RoleTimes
from edgevae.diagnostics.tune.tuner import Tuner
from edgevae.engine import Tuning, automatic

_ROW = "  {:<10} {:<9} {:<8} {:>6} {:>17} {:>12} {:>8} {:>6}"
_HEAD = _ROW.format(
    "provider", "precision", "graph", "chunk", "workers x threads", "rows/s", "of best", "PSNR"
)


def table(tuner: Tuner, tuning: Tuning) -> str:
    """Return the plan of each setting, the graphs that are slower, the refused ones, the choice."""
    lines: list[str] = []
    for role, times in tuner.roles.items():
        lines += [f"{role} of {tuner.bundle.name}", _HEAD, *_rows(tuner, role)]
        lines += _slower_graphs(times)
        lines += _kept_plans(times)
    refused = {**tuner.refused}
    for times in tuner.roles.values():
        refused.update(times.refused)
    lines += [f"refused {' '.join(candidate)}: {reason}" for candidate, reason in refused.items()]
    return "\n".join([*lines, *_choice(tuning)])


def _rows(tuner: Tuner, role: str) -> Iterator[str]:
    plans = {setting: detail.plan for setting, detail in tuner.roles[role].details.items()}
    fastest = max((plan.rows_per_second for plan in plans.values()), default=0.0)
    for (provider, precision), plan in plans.items():
        psnr = tuner.similarities[provider, precision]
        yield _ROW.format(
            provider,
            precision,
            plan.target,
            plan.chunk,
            f"{plan.workers} x {plan.threads}",
            f"{plan.rows_per_second:,.0f}",
            f"{plan.rows_per_second / fastest:.2f}",
            "" if psnr is None else f"{psnr:.1f}",
        ).rstrip()


def _slower_graphs(times: RoleTimes) -> Iterator[str]:
    """Yield a line for each graph that is not the fastest of its provider and precision."""
    for candidate, rate in times.graphs.items():
        provider, precision, target = candidate
        plan = times.details[provider, precision].plan
        if target != plan.target:
            best = times.graphs[candidate._replace(target=plan.target)]
            yield f"  {provider} {precision}: graph {target} has {rate / best:.2f} of the rate"


def _kept_plans(times: RoleTimes) -> Iterator[str]:
    """Yield a line for each plan that is the one without a tuning."""
    for (provider, precision), detail in times.details.items():
        if detail.kept and detail.divisions:
            yield f"  {provider} {precision}: nothing is faster than the plan without a tuning"


def _choice(tuning: Tuning) -> Iterator[str]:
    """Yield what "auto" means after this run."""
    if not tuning.compared:
        yield 'provider "auto" is as before, since only the named providers were measured'
    names = tuning.compared or dict.fromkeys(setting.provider for setting in tuning.settings)
    for precision in ("float32", "auto"):
        if (best := automatic.fastest(tuning, names, precision)) is not None:
            bound = f" (at least {tuning.min_psnr:g} dB)" if tuning.min_psnr is not None else ""
            shown = f'"auto"{bound}' if precision == "auto" else precision
            yield f"the fastest in precision {shown}: {best.provider} in {best.precision}"

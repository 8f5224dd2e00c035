"""Run the cases of a benchmark in fresh processes, in turns, and name the machine."""

import json
import os
import platform
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

import edgevae
from edgevae.bundle import Bundle
from edgevae.diagnostics.bench import process
from edgevae.diagnostics.bench.cases import Case, files
from edgevae.diagnostics.bench.percentiles import calls_needed
from edgevae.diagnostics.fresh_process import run_python
from edgevae.engine import cpu_name, onnxruntime, plugins, providers, usable_threads
from edgevae.errors import CheckError, ProviderError

# The version of the JSON that `edgevae bench` writes. 1 had no field "schema".
SCHEMA = 2
# The default numbers of rows of one call.
BATCHES = (1, 8, 64)
# To earn a percentile, a process repeats the calls for at most this multiple of `seconds`.
_PATIENCE = 5

Report = dict[str, Any]


@dataclass(frozen=True)
class Effort:
    """The numbers of rows of one call, and how long they are measured.

    rows: of one call
    rounds: processes for each case
    seconds: how long a process repeats the calls of each number of rows, at least
    percentile: the calls are repeated until this percentile is earned by those of all processes
        together, for at most five times `seconds`
    """

    rows: Sequence[int] = BATCHES
    rounds: int = 5
    seconds: float = 0.5
    percentile: float = 99.0

    @property
    def calls(self) -> int:
        """The calls that each process should make."""
        return -(-calls_needed(self.percentile) // self.rounds)


def measure(bundle: Bundle, cases: Sequence[Case], effort: Effort) -> Iterator[Report]:
    """Measure the cases in turns, for several rounds; yield the report of each process.

    `summarise` turns the reports into rows. Raises `ProviderError` if a provider is not available,
    `CheckError` if a process fails for another reason.
    """
    for _ in range(effort.rounds):
        for case in cases:
            yield run_once(bundle, case, effort)


def run_once(bundle: Bundle, case: Case, effort: Effort) -> Report:
    """Return the report of one fresh process: cold start, durations of calls, time, memory.

    Raises as `measure` does.
    """
    with tempfile.TemporaryDirectory() as folder:
        task = task_of(bundle, case, effort, Path(folder))
        script = Path(process.__file__).absolute()
        # edgevae turns onnxruntime's telemetry off, which saves time; the plain script does too.
        done = run_python(str(script), json.dumps(task), ORT_DISABLE_TELEMETRY="1")
    if done.returncode:
        error = ProviderError if done.returncode == process.NO_PROVIDER else CheckError
        raise error(done.stderr.strip() or f"{case.runner} on {case.provider} ended unexpectedly")
    report: Report = json.loads(done.stdout.splitlines()[-1])
    named = {role: file.name for role, file in files(bundle, case).items()}
    return {"files": named, **report, **case.as_json()}


def task_of(bundle: Bundle, case: Case, effort: Effort, folder: Path) -> Report:
    """Return the task that `process.measure` takes; items to encode are written to `folder`.

    The items are those of the bundle's self-check.
    """
    x = folder / "x.npy"
    if "encoder" in process.ROLES_OF_VERBS[case.verb]:
        np.save(x, bundle.selfcheck()["x"])
    task = {
        **case.as_json(),
        "rows": list(effort.rows),
        "seconds": effort.seconds,
        "longest": _PATIENCE * effort.seconds,
        "calls": effort.calls,
        "x": str(x),
    }
    if case.runner == "edgevae":
        return {**task, "model": str(bundle.path)}
    return {
        **task,
        "files": {role: str(path) for role, path in files(bundle, case).items()},
        "session": plain_session(case),
        "likelihood": dict(bundle.likelihood),
    }


def plain_session(case: Case) -> tuple[str, dict[str, str], str | None]:
    """Return a provider's name in onnxruntime, its options, and the library of its plugin if any.

    The options make the provider compute in the case's precision.
    """
    request = providers.Request(case.provider, dict(case.options))
    settings = providers.settings(request, case.precision, case.threads or 0)
    module = plugins.installed().get(case.provider)
    ort_name = plugins.load(case.provider) or providers.ort_name(case.provider)
    return ort_name, settings, str(plugins.library(module)) if module else None


def machine() -> Report:
    """Return the facts that figures depend on beside the model: processor, threads, versions."""
    return {
        "cpu": cpu_name(),
        "system": platform.platform(),
        "threads": usable_threads(),
        "edgevae": edgevae.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        # From the module, since several distributions may have installed it.
        "onnxruntime": onnxruntime().__version__,
    }


def conditions(bundle: Bundle, effort: Effort) -> Report:
    """Return what a report says of a measurement beside the machine and the figures.

    They are the schema, the date, the load average before, the model with the SHA-256 of each of
    its files, and the effort with the number of calls of a warm-up.
    """
    return {
        "schema": SCHEMA,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "load_average_before": load_average(),
        "model": {
            "name": bundle.name,
            "files": {name: file.sha256 for name, file in bundle.files.items()},
        },
        "effort": {**asdict(effort), "warm_up_calls": process.WARM_UP},
    }


def load_average() -> float | None:
    """Return how many threads were ready to run in the last minute; None if it is unknown."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None

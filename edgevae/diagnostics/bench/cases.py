"""Run the cases of a benchmark, each in fresh processes, and name the machine they ran on."""

import json
import platform
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import edgevae
from edgevae import bundle
from edgevae.diagnostics.bench import process
from edgevae.diagnostics.fresh_process import run_python
from edgevae.engine import cpu_name, onnxruntime, plugins, providers, usable_threads
from edgevae.errors import CheckError, ProviderError

# The default numbers of rows of one call.
BATCHES = (1, 8, 64)

Report = dict[str, Any]


class Case(NamedTuple):
    """A runner, "edgevae" or "sess.run", with a provider."""

    runner: str
    provider: str


def measure(
    model: str,
    providers: Sequence[str],
    *,
    batches: Sequence[int] = BATCHES,
    rounds: int = 3,
    seconds: float = 0.5,
    threads: int = 0,
) -> Iterator[Report]:
    """Measure each provider with both runners; yield the report of each process.

    model: the name or the path of a bundle
    providers: short names, such as "cpu"
    batches: numbers of rows of one call
    rounds: the number of processes for each case
    seconds: how long a process repeats the calls of each batch
    threads: the number of threads; 0 is the default of the runner

    `summarise` turns the reports into rows. Raises `ProviderError` if a provider is not available,
    `CheckError` if a process fails for another reason.
    """
    for _ in range(rounds):
        for provider in providers:
            for runner in process.RUNNERS:
                yield run_once(
                    Case(runner, provider), model, batches=batches, seconds=seconds, threads=threads
                )


def run_once(
    case: Case,
    model: str,
    *,
    batches: Sequence[int] = BATCHES,
    seconds: float = 0.5,
    threads: int = 0,
) -> Report:
    """Return the report of one fresh process: cold start, duration of each call, peak memory.

    The arguments and the errors are those of `measure`.
    """
    opened = bundle.read(bundle.find(model))
    subject = [case.runner, case.provider, str(opened.path)]
    if case.runner == "sess.run":
        plain = plain_provider(case.provider, threads)
        subject = [case.runner, plain, str(opened.path / opened.graph("decoder").file)]
    script = Path(process.__file__).absolute()
    limits = [json.dumps([*batches]), str(seconds), str(threads)]
    # edgevae turns onnxruntime's telemetry off, which saves time. The plain script has it off too.
    done = run_python(str(script), *subject, *limits, ORT_DISABLE_TELEMETRY="1")
    if done.returncode:
        error = ProviderError if done.returncode == process.NO_PROVIDER else CheckError
        raise error(done.stderr.strip() or f"{case.runner} on {case.provider} ended unexpectedly")
    report: Report = json.loads(done.stdout.splitlines()[-1])
    return {**report, **case._asdict()}


def refusal(model: str, provider: str) -> str | None:
    """Return why a provider cannot run a bundle, found by a fresh process; None if it can."""
    try:
        run_once(Case("edgevae", provider), model, batches=())
    except ProviderError as error:
        return str(error)
    return None


def plain_provider(provider: str, threads: int = 0) -> str:
    """Return the `provider` of `process.run_plain`, with the options that make it use float32."""
    settings = providers.settings(providers.Request(provider, {}), "float32", threads)
    module = plugins.installed().get(provider)
    ort_name = plugins.load(provider) or providers.ort_name(provider)
    return json.dumps([ort_name, settings, module and str(plugins.library(module))])


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

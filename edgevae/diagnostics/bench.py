"""Measure one bundle on one provider, beside a plain onnxruntime script on the same graph.

Each measurement runs in a fresh process: this file, run as a script, is that process. It imports
nothing but the standard library before its clock starts, measures one `Case`, prints one JSON line
and ends. The parent runs the cases in turns, several rounds of them, so that a machine that warms
up or is shared slows them all alike; compare ratios of one run, never figures of two.

Bias, admitted: `sess.run` is the user who draws normals with numpy and calls the decoder with
onnxruntime's defaults, in float32 where a provider must be told so. It draws from N(0, I) even
where the bundle has a mixture prior, checks no sha256 and makes no promise about the seed: it does
less.
"""

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

BATCHES = (1, 8, 64)
NO_PROVIDER = 5  # the exit status of a child whose provider cannot be had
PHASES = ("import_ms", "session_ms", "first_ms")

Report = dict[str, Any]
Call = Callable[[int], object]
Nodes = Mapping[str, int]


class Case(NamedTuple):
    """One thing to measure: a runner ("edgevae" or "sess.run") with a provider."""

    runner: str
    provider: str


def refusal(model: str, provider: str) -> str | None:
    """Why this provider cannot run this model, found out in a fresh process; None where it can."""
    from edgevae.errors import ProviderError

    try:
        run_once(Case("edgevae", provider), model, batches=())
    except ProviderError as error:
        return str(error)
    return None


def run_once(
    case: Case,
    model: str,
    *,
    batches: Sequence[int] = BATCHES,
    seconds: float = 0.5,
    threads: int = 0,
) -> Report:
    """The report of one fresh process: cold start, milliseconds of each call, peak memory."""
    from edgevae import bundle
    from edgevae.errors import CheckError, ProviderError

    found = bundle.read(bundle.find(model))
    what = [case.runner, case.provider, str(found.path)]
    if case.runner == "sess.run":
        what = [case.runner, plain_provider(case.provider, threads), str(found.graph("decoder"))]
    source = Path(__file__).absolute()
    paths = [str(source.parents[2]), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "ORT_DISABLE_TELEMETRY": "1",  # which edgevae leaves off: neither runner waits for it
    }
    # -P: the script's folder is the package, whose modules must not be found as top-level names.
    command = [sys.executable, "-P", str(source), *what, json.dumps([*batches]), str(seconds)]
    done = subprocess.run(
        [*command, str(threads)], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        kind = ProviderError if done.returncode == NO_PROVIDER else CheckError
        raise kind(done.stderr.strip() or f"{case.runner} on {case.provider} ended unexpectedly")
    report: Report = json.loads(done.stdout.splitlines()[-1])
    return {**report, **case._asdict()}


def plain_provider(provider: str, threads: int = 0) -> str:
    """What a user of plain onnxruntime writes to have a provider in float32, for `run_plain`."""
    from edgevae.engine import plugins, providers

    settings = providers.settings(providers.Request(provider, {}), "float32", threads)
    module = plugins.installed().get(provider)
    full = plugins.load(provider) or providers.ort_name(provider)
    return json.dumps([full, settings, module and str(plugins.library(module))])


def measure(
    model: str,
    providers: Sequence[str],
    *,
    batches: Sequence[int] = BATCHES,
    rounds: int = 3,
    seconds: float = 0.5,
    threads: int = 0,
) -> Iterator[Report]:
    """Runs every provider with both runners; yields one report for each of the fresh processes.

    model: a bundle's name or path. providers: short names, as "cpu". seconds: how long each batch
    size is repeated in each process. threads: 0 leaves them to the runner. `summarise` makes rows
    of the reports. Raises ProviderError where a provider cannot be had, CheckError where a process
    fails otherwise.
    """
    for _ in range(rounds):
        for provider in providers:
            for runner in RUNNERS:
                yield run_once(
                    Case(runner, provider), model, batches=batches, seconds=seconds, threads=threads
                )


def summarise(reports: Sequence[Report]) -> list[Report]:
    """One row for each case: cold start and RSS as medians of processes, latencies pooled.

    Times are in milliseconds, memory in MiB, throughput in images a second. `nodes` counts those
    of the decoder on each provider, where it is known. `ratios` of edgevae's rows are against the
    sess.run row of the same provider; above 1, edgevae is the better one.
    """
    rows = []
    for case in dict.fromkeys(Case(r["runner"], r["provider"]) for r in reports):
        mine = [r for r in reports if Case(r["runner"], r["provider"]) == case]
        cold = {phase: median([r["cold"][phase] for r in mine]) for phase in PHASES}
        memory = [r["peak_rss_mib"] for r in mine if r["peak_rss_mib"] is not None]
        row: Report = {**case._asdict(), "processes": len(mine), "nodes": mine[0].get("nodes")}
        row["cold"] = {**cold, "total_ms": median([sum(r["cold"].values()) for r in mine])}
        row["peak_rss_mib"] = median(memory) if memory else None
        row["batches"] = {
            batch: _latency(int(batch), [ms for r in mine for ms in r["latencies_ms"][batch]])
            for batch in mine[0]["latencies_ms"]
        }
        rows.append(row)
    for row in rows:
        naive = Case("sess.run", row["provider"])
        plain = next((r for r in rows if Case(r["runner"], r["provider"]) == naive), None)
        if plain and row is not plain:
            row["ratios"] = _ratios(row, plain)
    return rows


def machine() -> Report:
    """What figures depend on beside the model: processor, threads, versions."""
    import platform

    import numpy as np

    import edgevae
    from edgevae.engine import onnxruntime
    from edgevae.engine.machine import cpu_name, usable_threads

    return {
        "cpu": cpu_name(),
        "system": platform.platform(),
        "threads": usable_threads(),
        "edgevae": edgevae.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        # of whichever of its distributions is installed
        "onnxruntime": onnxruntime().__version__,
    }


def table(rows: Sequence[Report]) -> str:
    """The rows of `summarise` as text, one line for each provider, runner and batch."""
    head = (
        f"{'provider':<10} {'runner':<9} {'batch':>5} {'p50 ms':>8} {'p90 ms':>8} {'p99 ms':>8} "
        f"{'img/s':>8} {'ratio':>6}   {'import':>6} {'session':>7} {'first':>6} {'cold ms':>8} "
        f"{'RSS MiB':>8}   nodes"
    )
    lines = [head, "-" * len(head)]
    for row in rows:
        for batch, b in row["batches"].items():
            ratio = row.get("ratios", {}).get("batches", {}).get(batch)
            line = (
                f"{row['provider']:<10} {row['runner']:<9} {batch:>5} {b['p50_ms']:>8.3f} "
                f"{b['p90_ms']:>8.3f} {b['p99_ms']:>8.3f} {b['images_per_s']:>8.0f} "
                f"{f'{ratio:.2f}x' if ratio else '':>6}"
            )
            if batch == next(iter(row["batches"])):
                cold, rss = row["cold"], row["peak_rss_mib"]
                line += (
                    f"   {cold['import_ms']:>6.0f} {cold['session_ms']:>7.0f} "
                    f"{cold['first_ms']:>6.1f} {cold['total_ms']:>8.0f} "
                    f"{'-' if rss is None else f'{rss:.0f}':>8}"
                )
                nodes = (f"{count} {name}" for name, count in (row["nodes"] or {}).items())
                line = f"{line}   {', '.join(nodes)}".rstrip()
            lines.append(line)
    return "\n".join(lines)


def median(values: Sequence[float]) -> float:
    return percentile(values, 50)


def percentile(values: Sequence[float], q: float) -> float:
    """The nearest-rank percentile, q in (0, 100]: a value that was measured, not one between."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(q / 100 * len(ordered)) - 1)]


def _latency(batch: int, times: Sequence[float]) -> Report:
    tails = {f"p{q}_ms": percentile(times, q) for q in (50, 90, 99)}
    return {**tails, "images_per_s": 1e3 * batch * len(times) / sum(times), "calls": len(times)}


def _ratios(row: Report, plain: Report) -> Report:
    """sess.run / edgevae, of the median latency at each batch, of the cold start and of memory."""
    rss = row["peak_rss_mib"], plain["peak_rss_mib"]
    return {
        "batches": {
            batch: plain["batches"][batch]["p50_ms"] / row["batches"][batch]["p50_ms"]
            for batch in row["batches"]
        },
        "cold": plain["cold"]["total_ms"] / row["cold"]["total_ms"],
        "memory": rss[1] / rss[0] if rss[0] and rss[1] else None,
    }


# --- the fresh process -----------------------------------------------------------------------


def run_edgevae(provider: str, model: str, threads: int = 0) -> Iterator[Call | Nodes | None]:
    """Stops after the import, then after the session, when it yields what makes a batch; in the
    end yields how many nodes of the decoder run on each provider."""
    from edgevae import sampling
    from edgevae.engine import onnxruntime
    from edgevae.vae import load

    onnxruntime()  # load imports onnxruntime; here, so that the phases compare
    yield None
    vae = load(model, provider=provider, threads=threads or None)
    vae.graph("decoder").open(vae.threads)  # which load leaves to the first use
    if vae.bundle.prior == "none":
        shape = vae.bundle.latent_shape
        normal = partial(sampling.normal, dims=vae.bundle.dims, seed=7)
        yield lambda batch: vae.decode(normal(batch).reshape(batch, *shape))
    else:
        yield lambda batch: vae.generate(batch, seed=7)
    yield vae.providers["decoder"].nodes


def run_plain(provider: str, decoder: str, threads: int = 0) -> Iterator[Call | Nodes | None]:
    """The same of what a user writes who has the decoder's graph; `provider` is JSON of
    onnxruntime's name, options, and the library of a plugin or null."""
    import numpy as np
    import onnxruntime as ort  # type: ignore[import-untyped]

    yield None
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    name, settings, plugin = json.loads(provider)
    if plugin:
        ort.register_execution_provider_library(name, plugin)
        device = next(device for device in ort.get_ep_devices() if device.ep_name == name)
        options.add_provider_for_devices([device], settings)
    elif name == "CUDAExecutionProvider":
        ort.preload_dlls()
    listed = None if plugin else [(name, settings)]
    session = ort.InferenceSession(decoder, options, providers=listed)
    shape = [int(size) for size in session.get_inputs()[0].shape[1:]]
    rng = np.random.default_rng(7)
    conditional = len(session.get_inputs()) > 1

    def call(batch: int) -> object:
        inputs = {"z": rng.standard_normal((batch, *shape), dtype=np.float32)}
        if conditional:
            inputs["y"] = np.zeros(batch, np.int64)
        return session.run(None, inputs)[0]

    yield call


RUNNERS = {"edgevae": run_edgevae, "sess.run": run_plain}


def _child(started: float, arguments: Sequence[str]) -> Report:
    runner, provider, model, batches, seconds, threads = arguments
    stages = RUNNERS[runner](provider, model, int(threads))
    marks = [started]
    next(stages)
    marks.append(time.perf_counter())
    call = next(stages)
    marks.append(time.perf_counter())
    assert callable(call)
    call(1)
    marks.append(time.perf_counter())
    cold = {name: 1e3 * (b - a) for name, a, b in zip(PHASES, marks, marks[1:], strict=False)}
    latencies = {str(batch): _repeat(call, batch, float(seconds)) for batch in json.loads(batches)}
    memory = peak_rss()
    nodes = next(stages, None)
    return {"cold": cold, "latencies_ms": latencies, "peak_rss_mib": memory, "nodes": nodes}


def _repeat(call: Call, batch: int, seconds: float) -> list[float]:
    """Milliseconds of each call, for `seconds` but at least ten calls, after a warm-up."""
    for _ in range(3):
        call(batch)
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < 10 or time.perf_counter() < end:
        before = time.perf_counter()
        call(batch)
        times.append(1e3 * (time.perf_counter() - before))
    return times


def peak_rss() -> float | None:
    """The most memory that this process has held, in MiB; None where the system does not say.

    Linux: VmHWM, as ru_maxrss there starts from the parent's figure, not from zero.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(s for s in status.read_text().splitlines() if s.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return None


def _main() -> int:
    started = time.perf_counter()
    try:
        print(json.dumps(_child(started, sys.argv[1:])))
    except Exception as error:  # whatever it is, the parent is told
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return NO_PROVIDER if type(error).__name__ == "ProviderError" else 1
    return 0


if __name__ == "__main__":
    sys.exit(_main())

"""The fresh process of one measurement, which runs this file as a script.

It measures the cold start, the duration of each call, the processor time and the memory of one
case, prints them as one line of JSON, and ends. Before its clock starts it imports nothing but the
standard library: this file must import no other part of edgevae at its top, and is run by its path
rather than as a module, which would import the packages around it.
"""

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

# The phases of a cold start. The first call is of one row.
PHASES = ("import_ms", "session_ms", "first_ms")
# The calls before the first that counts, of each number of rows by each caller.
WARM_UP = 3
# The fewest calls that count, of each caller.
LEAST = 10
# The exit status if the provider is not available.
NO_PROVIDER = 5
# The roles whose graphs a verb runs.
ROLES_OF_VERBS = {
    "generate": ("decoder",),
    "encode": ("encoder",),
    "reconstruct": ("encoder", "decoder"),
    "score": ("encoder", "decoder"),
}

Call = Callable[[int], object]
Task = Mapping[str, Any]
# A runner yields None after its imports, None when its sessions are open, and then a function that
# calls the verb on a number of rows; last, if known, the facts of its sessions.
Stages = Iterator[Call | Mapping[str, Any] | None]


def run_edgevae(task: Task) -> Stages:
    """Yield the stages of edgevae.

    `task` has verb, model (a folder), graph, provider, options, precision, threads and x (a file).
    """
    from dataclasses import replace

    from edgevae import bundle
    from edgevae.engine import onnxruntime
    from edgevae.vae import VAE

    onnxruntime()  # VAE would import it; as part of this phase it compares with run_plain's
    yield None
    opened = bundle.read(task["model"])
    if task["graph"] == "plain":
        given = tuple(entry for entry in opened.graphs if entry.target == bundle.ANY)
        opened = replace(opened, graphs=given)
    provider: dict[str, Any] = {"provider": task["provider"]}
    if task["options"]:
        provider = {"providers": [(task["provider"], task["options"])]}
    vae = VAE(opened, threads=task["threads"], precision=task["precision"], **provider)
    graphs = {role: vae.graph(role) for role in ROLES_OF_VERBS[task["verb"]]}
    for graph in graphs.values():
        graph.open(vae.threads)  # VAE leaves this to the first use
    yield None
    yield _edgevae_call(vae, task)
    yield {
        "nodes": {role: graph.placement(vae.threads).nodes for role, graph in graphs.items()},
        "files": {role: graph.entry.file for role, graph in graphs.items()},
    }


def _edgevae_call(vae: Any, task: Task) -> Call:
    """Return a function that calls the verb on some rows."""
    from edgevae import sampling

    if task["verb"] == "generate":
        if vae.bundle.prior == "none":
            shape = vae.bundle.latent_shape
            normal = partial(sampling.normal, dims=vae.bundle.dims, seed=7)
            return lambda rows: vae.decode(normal(rows).reshape(rows, *shape))
        return lambda rows: vae.generate(rows, seed=7)
    x = _inputs(task)
    labels = {"labels": 0} if vae.bundle.classes else {}
    return {
        "encode": lambda rows: vae.encode(x[:rows]),
        "reconstruct": lambda rows: vae.reconstruct(x[:rows], **labels),
        "score": lambda rows: vae.score(x[:rows], "recon"),
    }[task["verb"]]


def run_plain(task: Task) -> Stages:
    """Yield the stages of a script that runs the ONNX files by onnxruntime alone.

    `task` has verb, files (by role), session, likelihood, threads and x (a file). `session` is
    onnxruntime's name of the provider, its options, and the library of the plugin that provides
    it, or null.
    """
    import numpy as np
    import onnxruntime as ort  # type: ignore[import-untyped]

    if task["verb"] == "generate":
        import numpy.random  # which numpy imports on first use

    yield None
    open_plain = plain_opener(ort, task["session"], task["threads"] or 0)
    sessions = {role: open_plain(file) for role, file in task["files"].items()}
    yield None
    yield _plain_call(np, sessions, task)


def plain_opener(ort: Any, session: Sequence[Any], threads: int) -> Callable[[str], Any]:
    """Return a function that opens an ONNX file by onnxruntime alone.

    `session` is as in `run_plain`; 0 threads are onnxruntime's default.
    """
    name, settings, plugin = session
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    if plugin:
        ort.register_execution_provider_library(name, plugin)
        device = next(device for device in ort.get_ep_devices() if device.ep_name == name)
        options.add_provider_for_devices([device], settings)
    elif name == "CUDAExecutionProvider":
        ort.preload_dlls()
    listed = None if plugin else [(name, settings)]
    return lambda file: ort.InferenceSession(file, options, providers=listed)


def _plain_call(np: Any, sessions: Mapping[str, Any], task: Task) -> Call:
    """Return a function that calls the verb on some rows, by numpy and `sess.run`."""

    def decode(z: Any) -> Any:
        ports = sessions["decoder"].get_inputs()
        inputs = {"z": z}
        if len(ports) > 1:
            inputs["y"] = np.zeros(len(z), np.int64)
        return sessions["decoder"].run(None, inputs)[0]

    if task["verb"] == "generate":
        shape = [int(size) for size in sessions["decoder"].get_inputs()[0].shape[1:]]
        rng = np.random.default_rng(7)
        return lambda rows: decode(rng.standard_normal((rows, *shape), dtype=np.float32))
    x = _inputs(task)
    encode = sessions["encoder"].run

    def score(rows: int) -> Any:
        part = x[:rows]
        return _recon(np, part, decode(encode(["mu"], {"x": part})[0]), task["likelihood"])

    return {
        "encode": lambda rows: encode(["mu", "logvar"], {"x": x[:rows]}),
        "reconstruct": lambda rows: decode(encode(["mu"], {"x": x[:rows]})[0]),
        "score": score,
    }[task["verb"]]


def _recon(np: Any, x: Any, x_hat: Any, likelihood: Mapping[str, Any]) -> Any:
    """Return -log p(x|z) of each item, in float32 but for a Gaussian's constant."""
    axes = tuple(range(1, x.ndim))
    if likelihood["name"] == "gaussian":
        sigma = np.asarray(likelihood["sigma"], np.float32)
        scale = sigma.reshape(x.shape[1:]) if sigma.ndim else sigma
        constant = np.broadcast_to(np.log(sigma) + np.log(2 * np.pi) / 2, scale.shape)
        errors = (((x - x_hat) / scale) ** 2).sum(axes) / 2
        return errors + constant.mean() * x[0].size
    if likelihood["name"] == "categorical":
        return -(x * np.log(x_hat.clip(1e-7, 1))).sum(axes)
    p = x_hat.clip(1e-7, 1 - 1e-7)
    return -(x * np.log(p) + (1 - x) * np.log1p(-p)).sum(axes)


def _inputs(task: Task) -> Any:
    """Return x, float32 (the largest number of rows, *x_shape): the items of a file in turn."""
    import numpy as np

    items = np.load(task["x"])
    return np.resize(items, (max([1, *task["rows"]]), *items.shape[1:]))


RUNNERS = {"edgevae": run_edgevae, "sess.run": run_plain}


# --- the measurement -------------------------------------------------------------------------


def measure(start: float, task: Task) -> dict[str, Any]:
    """Return the measurements of a task whose process began at `start`.

    Beside what the runner takes, `task` has runner, rows, concurrency, seconds, calls and longest:
    calls of each number of rows are repeated for `seconds` seconds and until there are `calls` of
    them, but for no more than `longest` seconds.
    """
    stages = RUNNERS[task["runner"]](task)
    marks = [start]
    for _ in range(2):  # imports, sessions
        next(stages)
        marks.append(time.perf_counter())
    call = next(stages)
    assert callable(call)
    before = time.perf_counter()  # without the time to read x
    call(1)
    phases = marks[1] - marks[0], marks[2] - marks[1], time.perf_counter() - before
    cold = {name: 1e3 * seconds for name, seconds in zip(PHASES, phases, strict=True)}
    calls = {str(rows): _repeat(call, rows, task) for rows in task["rows"]}
    memory = {"steady_rss_mib": steady_rss(), "peak_rss_mib": peak_rss()}
    facts: Any = next(stages, {})
    return {"cold": cold, "calls": calls, **memory, **facts}


def _repeat(call: Call, rows: int, task: Task) -> dict[str, Any]:
    """Return the milliseconds of each call, and of the wall clock and the processor in total.

    `concurrency` threads call at the same time, each after a warm-up.
    """
    call(rows)  # which raises its error here, if it has one
    callers = task["concurrency"]
    share = -(-task["calls"] // callers)
    clocks: list[float] = []
    ready = threading.Barrier(callers, lambda: clocks.extend(_clocks()))

    def repeat() -> list[float]:
        try:
            for _ in range(WARM_UP):
                call(rows)
        except BaseException:
            ready.abort()
            raise
        ready.wait()
        times: list[float] = []
        now = time.perf_counter()
        least, last = now + task["seconds"], now + task["longest"]
        while len(times) < LEAST or now < least or (len(times) < share and now < last):
            call(rows)
            before, now = now, time.perf_counter()
            times.append(1e3 * (now - before))
        return times

    with ThreadPoolExecutor(callers) as pool:
        waiting = [pool.submit(repeat) for _ in range(callers)]
    times = [ms for future in waiting for ms in future.result()]
    wall, cpu = (1e3 * (b - a) for a, b in zip(clocks, _clocks(), strict=True))
    return {"ms": times, "wall_ms": wall, "cpu_ms": cpu}


def _clocks() -> tuple[float, float]:
    """Return the wall clock and the processor time of all threads, in seconds."""
    return time.perf_counter(), time.process_time()


def peak_rss() -> float | None:
    """Return the peak memory of this process in MiB; None if the system does not state it.

    Linux states it as VmHWM. Its ru_maxrss starts from the parent's figure instead of zero.
    """
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return _status("VmHWM")


def steady_rss() -> float | None:
    """Return the present memory of this process in MiB; None if the system does not state it."""
    return _status("VmRSS")


def _status(key: str) -> float | None:
    """Return a size in /proc/self/status in MiB; None on systems without that file."""
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    line = next(s for s in status.read_text().splitlines() if s.startswith(f"{key}:"))
    return int(line.split()[1]) / 1024


def _main() -> int:
    start = time.perf_counter()
    try:
        print(json.dumps(measure(start, json.loads(sys.argv[1]))))
    except Exception as error:  # of any kind: the parent process reports it
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return NO_PROVIDER if type(error).__name__ == "ProviderError" else 1
    return 0


if __name__ == "__main__":
    sys.exit(_main())

"""The fresh process of one measurement, which runs this file as a script.

It measures the cold start, the duration of each call and the peak memory of one runner, prints
them as one line of JSON, and ends. Before its clock starts it imports nothing but the standard
library: this file must import no other part of edgevae at its top, and is run by its path rather
than as a module, which would import the packages around it.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

# The phases of a cold start. The first call generates one row.
PHASES = ("import_ms", "session_ms", "first_ms")
# The exit status if the provider is not available.
NO_PROVIDER = 5

Call = Callable[[int], object]
Nodes = Mapping[str, int]
# A runner yields None after its imports; then, when its session is open, a function that generates
# a batch of n rows; and last, if known, the number of the decoder's nodes on each provider.
Stages = Iterator[Call | Nodes | None]


def run_edgevae(provider: str, model: str, threads: int = 0) -> Stages:
    """Yield the stages of edgevae on a provider; 0 threads are edgevae's default."""
    from edgevae import sampling
    from edgevae.engine import onnxruntime
    from edgevae.vae import load

    onnxruntime()  # load would import it; as part of this phase it compares with run_plain's
    yield None
    vae = load(model, provider=provider, threads=threads or None)
    vae.runner.graph("decoder").open(vae.threads)  # load leaves this to the first use
    if vae.bundle.prior == "none":
        shape = vae.bundle.latent_shape
        normal = partial(sampling.normal, dims=vae.bundle.dims, seed=7)
        yield lambda batch: vae.decode(normal(batch).reshape(batch, *shape))
    else:
        yield lambda batch: vae.generate(batch, seed=7)
    yield vae.providers["decoder"].nodes


def run_plain(provider: str, decoder: str, threads: int = 0) -> Stages:
    """Yield the stages of a script that runs the decoder's ONNX file by onnxruntime alone.

    `provider` is JSON: onnxruntime's name of the provider, its options, and the library of the
    plugin that provides it, or null. 0 threads are onnxruntime's default.
    """
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


def peak_rss() -> float | None:
    """Return the peak memory of this process in MiB; None if the system does not state it.

    Linux states it as VmHWM. Its ru_maxrss starts from the parent's figure instead of zero.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(s for s in status.read_text().splitlines() if s.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return None


def _measure(start: float, arguments: Sequence[str]) -> dict[str, Any]:
    """Return the measurements of a runner whose process began at `start`.

    The arguments are the runner, its provider and model, the batches as JSON, the seconds for each
    batch, and the threads.
    """
    runner, provider, model, batches, seconds, threads = arguments
    stages = RUNNERS[runner](provider, model, int(threads))
    marks = [start]
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
    """Return the milliseconds of each call, after a warm-up: at least ten, over `seconds`."""
    for _ in range(3):
        call(batch)
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < 10 or time.perf_counter() < end:
        start = time.perf_counter()
        call(batch)
        times.append(1e3 * (time.perf_counter() - start))
    return times


def _main() -> int:
    start = time.perf_counter()
    try:
        print(json.dumps(_measure(start, sys.argv[1:])))
    except Exception as error:  # of any kind: the parent process reports it
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return NO_PROVIDER if type(error).__name__ == "ProviderError" else 1
    return 0


if __name__ == "__main__":
    sys.exit(_main())

"""The candidates of `bench_peers.py`, each with its best settings and in its own process.

    python benchmarks/peers.py prepare M2 FOLDER        the work: graph, latents, PyTorch's x_hat
    python benchmarks/peers.py "OpenVINO float32" M2 FOLDER

A candidate first prepares itself, which may include a search for its best settings, and prints a
line of JSON when it is ready. Then it reads requests, one a line: for {"rows": n, "seconds": s} it
decodes the first n latents repeatedly for s seconds, at least once, and prints the seconds of each
call. If it fails, its last line is {"failed": reason}. All candidates take float32 latents and
leave float32 x_hat in the memory of the host.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Decode = Callable[[Floats], Floats]

SGEMM, SGEMM_SIDE = "sgemm", 3072
CHUNKS = (1, 4, 16, 32, 64)  # the numbers of chunks that a batch may be split into


class Ready(NamedTuple):
    """A candidate that is ready: its function of a batch of latents, and its settings in words.

    `decode_one` is for a single row; None if `decode` takes it too.
    """

    decode: Decode
    how: str
    decode_one: Decode | None = None


class Work(NamedTuple):
    """A decoder to run: its name, plain ONNX graph, bundle, latents, and PyTorch's x_hat."""

    name: str
    graph: Path
    bundle: Path
    z: Floats
    x_hat: Floats

    @classmethod
    def read(cls, name: str, folder: Path) -> "Work":
        """Read what `prepare` and `compile` wrote."""
        arrays = (np.load(folder / f"{key}.npy") for key in ("z", "x_hat"))
        return cls(name, folder / "decoder.onnx", folder / "bundle", *arrays)

    @property
    def chunks(self) -> list[int]:
        """The numbers of rows that a chunk may have, the largest first."""
        return sorted({max(1, len(self.z) // parts) for parts in CHUNKS}, reverse=True)


def prepare(name: str, folder: Path) -> dict[str, float]:
    """Write what `Work.read` reads, except for the bundle; return the size of the work."""
    import torch
    from decoders import DECODERS, export

    model = DECODERS[name]()
    z = model.latents(model.rows)
    with torch.inference_mode():
        x_hat = model(z)
    export(model, folder / "decoder.onnx")
    np.save(folder / "z.npy", z.numpy())
    np.save(folder / "x_hat.npy", x_hat.numpy())
    return {"rows": len(z), "flops": model.flops(), "values": x_hat[0].numel()}


def compile(name: str, folder: Path) -> dict[str, Any]:
    """Write the bundle, as `edgevae compile --int8 --force` does, so that a poor int8 is shown."""
    from edgevae import compiler
    from edgevae.engine import targets

    before = time.perf_counter()
    compiled = compiler.compile(
        folder / "decoder.onnx",
        out=folder / "bundle",
        reading=compiler.Reading(x_range=(0.0, 1.0)),
        options=compiler.Options(int8=compiler.Int8(force=True)),
    )
    seconds = time.perf_counter() - before
    here = targets("cpu")
    kept = [row.name for row in compiled.passes["decoder"] if row.kept and row.target in here]
    entry = compiled.bundle.graph("decoder", targets=here)
    flops = graph_flops(compiled.bundle.path / entry.file)
    return {"compile_seconds": seconds, "passes": kept, "compiled_flops": flops}


def graph_flops(path: Path) -> int:
    """Return the FLOPs of one row of an ONNX graph, two for each multiply-add."""
    import math

    import onnx

    graph = onnx.load(path)
    for port in (*graph.graph.input, *graph.graph.output):
        port.type.tensor_type.shape.dim[0].dim_value = 1
    graph.graph.ClearField("value_info")
    graph = onnx.shape_inference.infer_shapes(graph, data_prop=True).graph
    shapes = {item.name: list(item.dims) for item in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        shapes[value.name] = [size.dim_value for size in value.type.tensor_type.shape.dim]
    adds = 0
    for node in graph.node:
        if node.op_type in ("Gemm", "MatMul"):
            adds += math.prod(shapes[node.input[1]])
        elif node.op_type in ("Conv", "ConvTranspose"):
            # each pixel of one side takes part once with each weight but the first axis
            at = node.output[0] if node.op_type == "Conv" else node.input[0]
            adds += math.prod(shapes[at]) * math.prod(shapes[node.input[1]][1:])
    return 2 * adds


STEPS = {"prepare": prepare, "compile": compile}


# --- the candidates --------------------------------------------------------------------------


def onnxruntime_on(provider: str) -> Callable[[Work], Ready]:
    """Return how plain onnxruntime gets ready on a provider, in float32, else by its defaults."""

    def ready(work: Work) -> Ready:
        import onnxruntime as ort

        from edgevae.diagnostics.bench import Case, process, rounds
        from edgevae.engine import providers

        providers.candidates(provider)  # refuses one that is not there, and says why
        chosen = rounds.plain_session(Case("sess.run", "plain", provider))
        session = process.plain_opener(ort, chosen, 0)(str(work.graph))
        taken = session.get_providers()
        if chosen[0] not in taken:
            raise RuntimeError(f"onnxruntime uses {', '.join(taken)} instead of {chosen[0]}")
        return Ready(lambda z: session.run(None, {"z": z})[0], "one sess.run, defaults")

    return ready


def torch_whole(work: Work) -> Ready:
    return Ready(_by_torch(_module(work), len(work.z)), "eager, one batch")


def torch_chunks(work: Work) -> Ready:
    module = _module(work)
    return fastest({f"eager, chunks of {n}": _by_torch(module, n) for n in work.chunks}, work.z)


def torch_compile(work: Work) -> Ready:
    import torch
    from torch._inductor import config

    config.freezing = True
    module = torch.compile(_module(work), dynamic=False)
    sizes = {len(work.z), max(1, len(work.z) // 16)}  # each takes a compilation
    return fastest({f"frozen, chunks of {n}": _by_torch(module, n) for n in sizes}, work.z)


def openvino_float32(work: Work) -> Ready:
    return _openvino(work, {"INFERENCE_PRECISION_HINT": "f32"})


def openvino_default(work: Work) -> Ready:
    return _openvino(work, {})


def sgemm(work: Work) -> Ready:
    """Return the faster of numpy's and PyTorch's products of two square matrices."""
    import torch

    a = np.random.default_rng(1).standard_normal((SGEMM_SIDE, SGEMM_SIDE), np.float32)
    out = np.empty_like(a)
    tensor, result = torch.from_numpy(a), torch.from_numpy(out)
    products: dict[str, Decode] = {
        "numpy": lambda _: np.matmul(a, a, out=out),
        "torch": lambda _: torch.mm(tensor, tensor, out=result).numpy(),
    }
    return fastest(products, work.z)


class Candidate(NamedTuple):
    """A candidate: how it gets ready, the packages it needs, whether it is timed at one row too."""

    ready: Callable[[Work], Ready]
    needs: tuple[str, ...]
    single: bool = True


def edgevae_on(provider: str, precision: str) -> Callable[[Work], Ready]:
    """Return how edgevae gets ready on a provider."""

    def ready(work: Work) -> Ready:
        import edgevae

        vae = edgevae.load(work.bundle, provider=provider, precision=precision)
        plan, entry = vae.plan("decoder"), vae.graph("decoder").entry
        how = f"{entry.file}, {plan.workers} workers, chunks of {plan.chunk}"
        if precision == "int8":
            how += f", {vae.bundle.quality['int8']['decoder_psnr']:.1f} dB"
        return Ready(vae.decode, how)

    return ready


ORT = ("onnxruntime",)
CANDIDATES = {
    "onnxruntime": Candidate(onnxruntime_on("cpu"), ORT),
    "onnxruntime openvino": Candidate(onnxruntime_on("openvino"), ORT),
    "onnxruntime cuda": Candidate(onnxruntime_on("cuda"), ORT),
    "PyTorch, one batch": Candidate(torch_whole, ("torch",)),
    "PyTorch, best chunk": Candidate(torch_chunks, ("torch",), single=False),
    "torch.compile": Candidate(torch_compile, ("torch",)),
    "OpenVINO float32": Candidate(openvino_float32, ("openvino",)),
    "OpenVINO default": Candidate(openvino_default, ("openvino",)),
    "edgevae float32": Candidate(edgevae_on("cpu", "float32"), ORT),
    "edgevae int8": Candidate(edgevae_on("cpu", "int8"), ORT),
    "edgevae openvino float32": Candidate(edgevae_on("openvino", "float32"), ORT),
    "edgevae openvino bf16": Candidate(edgevae_on("openvino", "bf16"), ORT),
    "edgevae openvino int8": Candidate(edgevae_on("openvino", "int8"), ORT),
    "edgevae cuda float32": Candidate(edgevae_on("cuda", "float32"), ORT),
    SGEMM: Candidate(sgemm, ("torch",), single=False),
}


def fastest(options: Mapping[str, Decode], z: Floats) -> Ready:
    """Return the option with the least time; options far behind at first are timed only once."""
    for decode in options.values():
        decode(z)  # compiles, allocates
    best = {how: _seconds(decode, z) for how, decode in options.items()}
    for _ in range(2):
        for how in [how for how in best if best[how] <= 1.3 * min(best.values())]:
            best[how] = min(best[how], _seconds(options[how], z))
    how = min(best, key=best.__getitem__)
    return Ready(options[how], how)


def _module(work: Work) -> Any:
    from decoders import DECODERS

    return DECODERS[work.name]()


def _by_torch(module: Any, chunk: int) -> Decode:
    import torch

    @torch.inference_mode()
    def decode(z: Floats) -> Floats:
        if chunk >= len(z):
            return module(torch.from_numpy(z)).numpy()
        parts = torch.from_numpy(z).split(chunk)
        first = module(parts[0])
        x_hat = first.new_empty((len(z), *first.shape[1:]))
        x_hat[:chunk] = first
        for i, part in enumerate(parts[1:], 1):
            x_hat[i * chunk : (i + 1) * chunk] = module(part)
        return x_hat.numpy()

    return decode


def _openvino(work: Work, settings: Mapping[str, str]) -> Ready:
    """Return the fastest chunk size and hint: latency (one stream) or throughput (several)."""
    options = {
        f"{hint.lower()} hint, chunks of {n}": _by_openvino(
            work, n, {**settings, "PERFORMANCE_HINT": hint}
        )
        for hint in ("LATENCY", "THROUGHPUT")
        for n in work.chunks
    }
    one = _by_openvino(work, 1, {**settings, "PERFORMANCE_HINT": "LATENCY"})
    return fastest(options, work.z)._replace(decode_one=one)


def _by_openvino(work: Work, chunk: int, settings: Mapping[str, str]) -> Decode:
    """Return a function with a static shape; its requests run concurrently and copy nothing."""
    import openvino as ov

    model = ov.Core().read_model(work.graph)
    model.reshape([chunk, *work.z.shape[1:]])
    compiled = ov.Core().compile_model(model, "CPU", dict(settings))
    count = 2 * compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
    requests = [compiled.create_infer_request() for _ in range(count)]

    def decode(z: Floats) -> Floats:
        x_hat = np.empty((len(z), *work.x_hat.shape[1:]), np.float32)
        for i, first in enumerate(range(0, len(z), chunk)):
            request, rows = requests[i % count], slice(first, first + chunk)
            request.wait()
            request.set_input_tensor(ov.Tensor(z[rows], shared_memory=True))
            request.set_output_tensor(ov.Tensor(x_hat[rows], shared_memory=True))
            request.start_async()
        for request in requests:
            request.wait()
        return x_hat

    return decode


# --- the process -----------------------------------------------------------------------------


def serve(candidate: str, work: Work, requests: IO[str], answers: IO[str]) -> None:
    """Get a candidate ready, print its settings and its error, then answer requests for times."""
    decode, how, decode_one = CANDIDATES[candidate].ready(work)
    error = None if candidate == SGEMM else float(np.abs(decode(work.z) - work.x_hat).max())
    print(json.dumps({"how": how, "error": error}), file=answers, flush=True)
    for line in requests:
        task = json.loads(line)
        z = work.z[: task["rows"]]
        timed = decode_one if decode_one and len(z) == 1 else decode
        timed(z)  # wakes threads, warms caches, compiles for one row
        end = time.perf_counter() + task["seconds"]
        times = [_seconds(timed, z)]
        while time.perf_counter() < end:
            times.append(_seconds(timed, z))
        print(json.dumps(times), file=answers, flush=True)


def _seconds(decode: Decode, z: Floats) -> float:
    before = time.perf_counter()
    decode(z)
    return time.perf_counter() - before


def main() -> None:
    job, name, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    # Only answers go to standard output: the output of libraries goes to standard error.
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)
        try:
            if job in STEPS:
                print(json.dumps(STEPS[job](name, folder)), file=answers)
            else:
                serve(job, Work.read(name, folder), sys.stdin, answers)
        except Exception as error:  # the parent process reports it
            words = " ".join(f"{type(error).__name__}: {error}".split())
            print(json.dumps({"failed": words}), file=answers)


if __name__ == "__main__":
    main()

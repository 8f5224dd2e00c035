"""Compare the C kernels with numpy and torch, in one process and on one thread.

    python benchmarks/bench_kernels.py          a table of ratios, saved under benchmarks/results/
    python -m pytest benchmarks/bench_kernels.py    the same calls through pytest-benchmark

Every call goes through Python, as users' calls do. Times are the thread's CPU time. The candidates
take turns within each round, and a ratio is the median over rounds of (theirs / ours), so that
other work on the machine affects all of them alike. They share the caches and the allocator of one
process, and the absolute times hold for the named machine only. torch's and numpy's generators
return other numbers than stream 1; the requested work is the same.
"""

import json
import platform
import statistics
import sys
import time
import timeit
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from edgevae import _core
from edgevae.packing import pack
from edgevae.sampling import normal, reparameterize

F32 = np.float32
SIZES = {"64": 64, "1,024": 1024, "65,536": 65536, "16 M": 1 << 24}
KERNELS = _core.kernels()["available"]

torch.set_num_threads(1)

Candidates = dict[str, Callable[[], object]]


def fill(n: int) -> Candidates:
    """Fill an existing array with standard normals."""
    pcg, philox = np.random.default_rng(1), np.random.Generator(np.random.Philox(1))
    out, tensor = np.empty((1, n), F32), torch.empty(1, n)
    return {
        "numpy": lambda: pcg.standard_normal(dtype=F32, out=out),
        "numpy Philox": lambda: philox.standard_normal(dtype=F32, out=out),
        "torch": lambda: tensor.normal_(),
        "edgevae": lambda: normal(1, n, seed=7, out=out),
    }


def new(n: int) -> Candidates:
    """Return standard normals in a new array."""
    pcg = np.random.default_rng(1)
    return {
        "numpy": lambda: pcg.standard_normal((1, n), F32),
        "torch": lambda: torch.randn(1, n),
        "edgevae": lambda: normal(1, n, seed=7),
    }


def latents(rows: int, dims: int, *, with_out: bool) -> Candidates:
    """Compute mu + exp(logvar / 2) * eps; numpy and torch use the usual expressions."""
    rng = np.random.default_rng(1)
    mu, logvar = rng.standard_normal((2, rows, dims), F32)
    out = np.empty_like(mu) if with_out else None
    half = F32(0.5)
    t_mu, t_logvar = torch.from_numpy(mu), torch.from_numpy(logvar)
    return {
        "numpy": lambda: mu + np.exp(logvar * half) * rng.standard_normal(mu.shape, F32),
        "torch": lambda: t_mu + torch.exp(t_logvar * 0.5) * torch.randn_like(t_mu),
        "edgevae": lambda: reparameterize(mu, logvar, seed=7, out=out),
    }


def pixels(*shape: int) -> Candidates:
    """Convert float32, channels first, to 8 bits, channels last."""
    x = np.random.default_rng(1).random(shape, F32)
    n, channels, height, width = shape
    out = np.empty((n, height, width, channels), np.uint8)
    scale, half, low, high = F32(255), F32(0.5), F32(0), F32(255)
    tensor = torch.from_numpy(x)

    def by_numpy() -> object:
        y = np.clip(x * scale + half, low, high).astype(np.uint8)
        return np.ascontiguousarray(y.transpose(0, 2, 3, 1))

    def by_torch() -> object:
        y = (tensor * 255 + 0.5).clamp(0, 255).to(torch.uint8)
        return y.permute(0, 2, 3, 1).contiguous()

    return {"numpy": by_numpy, "torch": by_torch, "edgevae": lambda: pack(x, out=out)}


# The numbers that a call produces, and the candidates, by the name of the case.
CASES: dict[str, tuple[int, Callable[[], Candidates]]] = {
    **{f"normal {name}": (n, lambda n=n: fill(n)) for name, n in SIZES.items()},
    "normal 64, new array": (64, lambda: new(64)),
    "reparameterize (256,128)": (32768, lambda: latents(256, 128, with_out=True)),
    "reparameterize (1,32)": (32, lambda: latents(1, 32, with_out=True)),
    "reparameterize (1,32), new array": (32, lambda: latents(1, 32, with_out=False)),
    "pack (16,3,64,64)": (196608, lambda: pixels(16, 3, 64, 64)),
}
CONTENDERS = ["numpy", "numpy Philox", "torch", *KERNELS]


def choose(candidates: Candidates, contender: str) -> Callable[[], object] | None:
    """Return the call of a contender, its kernel in use; None if it does not take part."""
    if contender not in KERNELS:
        return candidates.get(contender)
    _core.use_kernel(contender)
    return candidates["edgevae"]


@pytest.mark.parametrize("contender", CONTENDERS)
@pytest.mark.parametrize("case", CASES)
def test_kernels(benchmark, case, contender):
    call = choose(CASES[case][1](), contender)
    if call is None:
        pytest.skip(f"{contender} does not take part in {case}")
    benchmark.group = case
    benchmark(call)
    _core.use_kernel(None)


def seconds(call: Callable[[], object], number: int) -> float:
    """Return the thread's CPU seconds of a call, the mean of `number` calls."""
    return timeit.timeit(call, number=number, timer=time.thread_time) / number


def rounds_of(candidates: Candidates) -> dict[str, list[float]]:
    """Return each contender's seconds a call, by rounds, in turns of 2 ms or one call."""
    turns = {}
    for contender in CONTENDERS:
        call = choose(candidates, contender)
        if call is not None:
            seconds(call, 1)
            turns[contender] = call, max(1, int(0.002 / seconds(call, 1)))
    times: dict[str, list[float]] = {contender: [] for contender in turns}
    rounds = 7 if max(number for _, number in turns.values()) == 1 else 61
    for _ in range(rounds):
        for contender, (call, number) in turns.items():
            choose(candidates, contender)
            times[contender].append(seconds(call, number))
    _core.use_kernel(None)
    return times


def ratio(theirs: list[float], ours: list[float]) -> float:
    """Return the median over rounds of their time over ours."""
    return statistics.median(a / b for a, b in zip(theirs, ours, strict=True))


def machine() -> dict[str, str]:
    """Return the facts of the machine and the versions that the times depend on."""
    cpu = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next((line.split(": ")[1] for line in lines if line.startswith("model name")), cpu)
    return {
        "cpu": cpu,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": torch.__version__,
        "kernels": " ".join(KERNELS),
    }


def main() -> None:
    here = machine()
    print(*(f"{key}: {value}" for key, value in here.items()), sep="\n")
    rows = []
    print(f"\n{'':34}{'':14}{'ns a call':>14}{'ns a number':>13}{'x numpy':>9}{'x torch':>9}")
    for case, (numbers, candidates) in CASES.items():
        times = rounds_of(candidates())
        for contender, each in times.items():
            best = min(each) * 1e9
            row = {
                "case": case,
                "contender": contender,
                "ns_per_call": round(best, 1),
                "ns_per_number": round(best / numbers, 3),
                "times_numpy": round(ratio(times["numpy"], each), 2),
                "times_torch": round(ratio(times["torch"], each), 2),
            }
            rows.append(row)
            print(
                f"{case:34}{contender:14}{best:14,.0f}{best / numbers:13.3f}"
                f"{row['times_numpy']:9.2f}{row['times_torch']:9.2f}"
            )
    slug = "-".join("".join(c if c.isalnum() else " " for c in here["cpu"].lower()).split())
    path = Path(__file__).parent / "results" / f"kernels-{slug}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"machine": here, "rows": rows}, indent=1) + "\n")
    print(f"\nsaved {path}")


if __name__ == "__main__":
    sys.exit(main())

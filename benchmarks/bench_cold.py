"""Measure a cold start, as ratios to numpy's import and to a bare onnxruntime script.

    python benchmarks/bench_cold.py [--model BUNDLE] [--rounds N] [--json]

Each candidate runs in a fresh process, and the candidates take turns. Clocks start at the first
line, so that the start of the interpreter, which is the same for all, is not counted. Times are
medians over rounds, and a ratio is the median of the ratios within a round. CPU time is the
steadier of the two on a shared machine. A first round, which brings the files into the disk's
cache, is not counted.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from edgevae import bundle

TIMED = """
import time
wall, cpu = time.perf_counter(), time.process_time()
{code}
print(time.perf_counter() - wall, time.process_time() - cpu)
"""
NUMPY = "import numpy"
IMPORT = "import edgevae, numpy"
BARE = """
import numpy as np
import onnxruntime as ort
session = ort.InferenceSession({decoder!r}, providers=["CPUExecutionProvider"])
z = np.random.default_rng(7).standard_normal((1, *session.get_inputs()[0].shape[1:]), np.float32)
x_hat = session.run(None, {{"z": z}})[0]
"""
FIRST = """
import edgevae
x_hat = edgevae.load({model!r}, provider="cpu").generate(1, seed=7)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="fashion")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    source = bundle.read(bundle.find(args.model))
    codes = {
        "import numpy": NUMPY,
        "import edgevae": IMPORT,
        "first image, bare onnxruntime": BARE.format(
            decoder=str(source.path / source.graph("decoder").file)
        ),
        "first image, edgevae": FIRST.format(model=str(source.path)),
    }
    rounds = [{name: timed(code) for name, code in codes.items()} for _ in range(args.rounds + 1)]
    result = {
        "milliseconds": {
            name: [1e3 * statistics.median(r[name][clock] for r in rounds[1:]) for clock in (0, 1)]
            for name in codes
        },
        "ratios": {
            "import edgevae / import numpy": ratios(rounds[1:], "import edgevae", "import numpy"),
            "first image, edgevae / bare onnxruntime": ratios(
                rounds[1:], "first image, edgevae", "first image, bare onnxruntime"
            ),
        },
    }
    print(json.dumps(result, indent=2) if args.json else table(result, args.rounds))


def timed(code: str) -> tuple[float, ...]:
    """Return the seconds of wall clock and of CPU that the code takes in its own process."""
    source = str(Path(bundle.__file__).parents[2])
    # edgevae disables onnxruntime's telemetry: so neither script waits for it.
    environment = os.environ | {"PYTHONPATH": source, "ORT_DISABLE_TELEMETRY": "1"}
    # As in an installed package, edgevae's modules are compiled in the first round and kept.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, "-c", TIMED.format(code=code)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return tuple(map(float, done.stdout.split()))


def ratios(rounds: list, name: str, base: str) -> list[float]:
    """Return the ratios of two candidates' times, by wall clock and CPU: medians over rounds."""
    return [statistics.median(r[name][clock] / r[base][clock] for r in rounds) for clock in (0, 1)]


def table(result: dict, rounds: int) -> str:
    """Return the result as text."""
    lines = [f"{'medians of ' + str(rounds) + ' processes':<42}{'wall':>10}{'CPU':>10}"]
    for name, (wall, cpu) in result["milliseconds"].items():
        lines.append(f"{name:<42}{wall:>7.1f} ms{cpu:>7.1f} ms")
    for name, (wall, cpu) in result["ratios"].items():
        lines.append(f"{name:<42}{wall:>9.2f}x{cpu:>9.2f}x")
    return "\n".join(lines)


if __name__ == "__main__":
    main()

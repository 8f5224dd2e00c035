"""Compare the throughput of many callers of one row through a `Batcher` with that of one call.

    python benchmarks/bench_batcher.py [BUNDLE] [--callers 64] [--rows 32] [--rounds 9]

Each round decodes the same rows in one call, from threads and from asyncio tasks through a Batcher,
and from threads that call the VAE itself. The figures are medians over rounds of the time of one
call over that of the candidate, so that a busy machine affects all candidates alike: once by wall
clock, and once by processor time, which other processes hardly affect.
"""

import argparse
import asyncio
import json
import threading
import time
from collections.abc import Callable
from statistics import median

import numpy as np

import edgevae


def by_threads(decode: Callable[[np.ndarray], np.ndarray], z: np.ndarray, callers: int) -> None:
    """Decode z row by row, from `callers` threads."""

    def call(rows: np.ndarray) -> None:
        for row in rows:
            decode(row)

    threads = [threading.Thread(target=call, args=(part,)) for part in np.array_split(z, callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def by_tasks(batcher: edgevae.Batcher, z: np.ndarray, callers: int) -> None:
    """Decode z row by row, from `callers` asyncio tasks."""

    async def call(rows: np.ndarray) -> None:
        for row in rows:
            await batcher.adecode(row)

    async def call_all() -> None:
        await asyncio.gather(*(call(part) for part in np.array_split(z, callers)))

    asyncio.run(call_all())


def seconds(run: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds that a call takes, by wall clock and of processor time on all cores."""
    before = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - before[0], time.process_time() - before[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", nargs="?", default="fashion")
    parser.add_argument("--callers", type=int, default=64)
    parser.add_argument("--rows", type=int, default=32, help="rows of each caller")
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()

    vae = edgevae.load(args.bundle, provider="cpu")
    z = vae.sample(args.callers * args.rows, seed=1)
    with edgevae.Batcher(vae) as batcher:
        candidates = {
            "one call": lambda: vae.decode(z),
            "threads, Batcher": lambda: by_threads(batcher.decode, z, args.callers),
            "tasks, Batcher": lambda: by_tasks(batcher, z, args.callers),
            "threads, no Batcher": lambda: by_threads(vae.decode, z, args.callers),
        }
        for run in candidates.values():
            run()
        rounds = [
            {name: seconds(run) for name, run in candidates.items()} for _ in range(args.rounds)
        ]
    figures = {
        name: {
            clock: median(r["one call"][i] / r[name][i] for r in rounds)
            for i, clock in enumerate(("clock", "processor"))
        }
        for name in candidates
    }
    print(json.dumps({**vars(args), "of one call": figures}, indent=2))


if __name__ == "__main__":
    main()

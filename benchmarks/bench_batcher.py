"""How much of one call's throughput do many callers of one row reach through a `Batcher`?

    python benchmarks/bench_batcher.py [BUNDLE] [--callers 64] [--rows 32] [--rounds 9]

Each round decodes the same rows in one call, from threads and from asyncio tasks through a
Batcher, and from threads that call the VAE itself. What is printed is the median over rounds of
one call's time / the candidate's, so that a machine that is busy for a while counts for all: of
the clock's time, and of the processor's, which neighbours hardly touch.
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
    def call(mine: np.ndarray) -> None:
        for row in mine:
            decode(row)

    threads = [threading.Thread(target=call, args=(part,)) for part in np.array_split(z, callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def by_tasks(batcher: edgevae.Batcher, z: np.ndarray, callers: int) -> None:
    async def call(mine: np.ndarray) -> None:
        for row in mine:
            await batcher.adecode(row)

    async def all_of_them() -> None:
        await asyncio.gather(*(call(part) for part in np.array_split(z, callers)))

    asyncio.run(all_of_them())


def seconds(run: Callable[[], object]) -> tuple[float, float]:
    """By the clock, and of processor time on all cores."""
    before = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - before[0], time.process_time() - before[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", nargs="?", default="fashion")
    parser.add_argument("--callers", type=int, default=64)
    parser.add_argument("--rows", type=int, default=32, help="of each caller")
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
            of: median(r["one call"][i] / r[name][i] for r in rounds)
            for i, of in enumerate(("clock", "processor"))
        }
        for name in candidates
    }
    print(json.dumps({**vars(args), "of one call": figures}, indent=2))


if __name__ == "__main__":
    main()

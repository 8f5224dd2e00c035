"""Compare the throughput of many callers of one row through a `Batcher` with that of one call.

    python benchmarks/bench_batcher.py [BUNDLE ...] [--callers 64] [--rows 32] [--rounds 9]

Bundles are names or paths; `bench_floor.py --cache FOLDER` compiles more of them. Each round
decodes the same rows in one call, from threads and from asyncio tasks through a Batcher, and from
threads that call the VAE itself. The last candidate, bare locks, decodes nothing: as many threads
wait, each on a lock of its own, for one thread that releases all locks as soon as all wait. That is
the least that Python's threads cost for each row.

The figures are medians over rounds of the time of one call over that of the candidate, so that a
busy machine affects all candidates alike: once by wall clock, and once by processor time, which
other processes hardly affect. `us a row` is the median time of the candidate itself.
"""

import argparse
import asyncio
import json
import threading
import time
from collections import deque
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


def by_bare_locks(callers: int, rows: int) -> None:
    """Let `callers` threads wait `rows` times, each on a lock that one thread releases."""
    waiting: deque[threading.Lock] = deque()
    all_wait = threading.Semaphore(0)

    def call() -> None:
        lock = threading.Lock()
        lock.acquire()
        for _ in range(rows):
            waiting.append(lock)
            if len(waiting) == callers:
                all_wait.release()
            lock.acquire()

    threads = [threading.Thread(target=call) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for _ in range(rows):
        all_wait.acquire()
        for _ in range(callers):
            waiting.popleft().release()
    for thread in threads:
        thread.join()


def seconds(run: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds that a call takes, by wall clock and of processor time on all cores."""
    before = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - before[0], time.process_time() - before[1]


def measure(name: str, callers: int, rows: int, rounds: int) -> dict[str, dict[str, float]]:
    """Return the figures of each candidate for one bundle."""
    vae = edgevae.load(name, provider="cpu")
    z = vae.sample(callers * rows, seed=1)
    with edgevae.Batcher(vae) as batcher:
        candidates = {
            "one call": lambda: vae.decode(z),
            "threads, Batcher": lambda: by_threads(batcher.decode, z, callers),
            "tasks, Batcher": lambda: by_tasks(batcher, z, callers),
            "threads, no Batcher": lambda: by_threads(vae.decode, z, callers),
            "bare locks": lambda: by_bare_locks(callers, rows),
        }
        for run in candidates.values():
            run()
        samples = [{name: seconds(run) for name, run in candidates.items()} for _ in range(rounds)]
    return {
        name: {
            "us a row": round(1e6 * median(s[name][0] for s in samples) / len(z), 1),
            "clock": round(median(s["one call"][0] / s[name][0] for s in samples), 3),
            "processor": round(median(s["one call"][1] / s[name][1] for s in samples), 3),
        }
        for name in candidates
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundles", nargs="*", default=["fashion", "names"])
    parser.add_argument("--callers", type=int, default=64)
    parser.add_argument("--rows", type=int, default=32, help="rows of each caller")
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    figures = {name: measure(name, args.callers, args.rows, args.rounds) for name in args.bundles}
    print(json.dumps({**vars(args), "of one call": figures}, indent=2))


if __name__ == "__main__":
    main()

"""Compare the throughput of many callers of one row through a `Batcher` with that of one call.

    python benchmarks/bench_batcher.py [BUNDLE ...] [--callers 64] [--rows 32] [--rounds 9]

Bundles are names or paths; `bench_floor.py --cache FOLDER` compiles more of them. "One call" is a
call of `vae.decode` with a row of each caller. The other candidates decode the same rows one by
one: threads and asyncio tasks through a Batcher, and threads that call the VAE itself. The bare
candidates decode nothing and show the least that Python takes for a row:

    bare gate     each thread waits at a gate, which the last one to come opens for all
    bare locks    each thread waits on a lock of its own, which the last one to come releases
    bare futures  each task awaits a future, and one callback of the loop settles all

Threads are started before the time is taken. The figures are medians over rounds of the time of one
call over that of the candidate, so that a busy machine affects all candidates alike: once by wall
clock, and once by processor time, which other processes hardly affect. `us a row` is the median
time of the candidate itself.
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
from edgevae._core import Gate

Seconds = tuple[float, float]  # by wall clock, and of processor time on all cores


def by_threads(call: Callable[[int], None], callers: int) -> Seconds:
    """Return the time of call(0) to call(callers - 1), each in a thread that waits at the start."""
    start = threading.Barrier(callers + 1)

    def wait_and_call(caller: int) -> None:
        start.wait()
        call(caller)

    threads = [threading.Thread(target=wait_and_call, args=(i,)) for i in range(callers)]
    for thread in threads:
        thread.start()

    def join() -> None:
        start.wait()
        for thread in threads:
            thread.join()

    return seconds(join)


def decode_by_threads(
    decode: Callable[[np.ndarray], np.ndarray], z: np.ndarray, callers: int
) -> Seconds:
    """Decode z row by row, from `callers` threads."""
    parts = np.array_split(z, callers)

    def call(caller: int) -> None:
        for row in parts[caller]:
            decode(row)

    return by_threads(call, callers)


def by_tasks(batcher: edgevae.Batcher, z: np.ndarray, callers: int) -> None:
    """Decode z row by row, from `callers` asyncio tasks."""

    async def call(rows: np.ndarray) -> None:
        for row in rows:
            await batcher.adecode(row)

    async def call_all() -> None:
        await asyncio.gather(*(call(part) for part in np.array_split(z, callers)))

    asyncio.run(call_all())


def by_bare_gate(callers: int, rows: int) -> Seconds:
    """Let `callers` threads meet `rows` times at a gate that the last of them opens."""
    waiting: list[None] = []
    gates = [Gate() for _ in range(rows)]

    def call(_: int) -> None:
        for gate in gates:
            waiting.append(None)
            if len(waiting) == callers:
                waiting.clear()
                gate.open()
            else:
                gate.wait()

    return by_threads(call, callers)


def by_bare_locks(callers: int, rows: int) -> Seconds:
    """Let `callers` threads meet `rows` times; the last of them releases a lock of each other."""
    waiting: list[threading.Lock] = []

    def call(_: int) -> None:
        lock = threading.Lock()
        lock.acquire()
        for _ in range(rows):
            waiting.append(lock)
            if len(waiting) == callers:
                complete, waiting[:] = waiting[:-1], []
                for other in complete:
                    other.release()
            else:
                lock.acquire()

    return by_threads(call, callers)


def by_bare_futures(callers: int, rows: int) -> None:
    """Let `callers` tasks await a future each, `rows` times, which one callback settles."""
    waiting: list[asyncio.Future[None]] = []

    def settle() -> None:
        complete, waiting[:] = waiting[:], []
        for future in complete:
            future.set_result(None)

    async def call() -> None:
        loop = asyncio.get_running_loop()
        for _ in range(rows):
            future = loop.create_future()
            waiting.append(future)
            if len(waiting) == callers:
                loop.call_soon(settle)
            await future

    async def call_all() -> None:
        await asyncio.gather(*(call() for _ in range(callers)))

    asyncio.run(call_all())


def seconds(run: Callable[[], object]) -> Seconds:
    """Return the time that a call takes."""
    before = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - before[0], time.process_time() - before[1]


def measure(name: str, callers: int, rows: int, rounds: int) -> dict[str, dict[str, float]]:
    """Return the figures of each candidate for one bundle."""
    vae = edgevae.load(name, provider="cpu")
    z = vae.sample(callers * rows, seed=1)
    parts = z.reshape(rows, callers, *z.shape[1:])
    with edgevae.Batcher(vae) as batcher:
        candidates: dict[str, Callable[[], Seconds]] = {
            "one call": lambda: seconds(lambda: [vae.decode(part) for part in parts]),
            "threads, Batcher": lambda: decode_by_threads(batcher.decode, z, callers),
            "tasks, Batcher": lambda: seconds(lambda: by_tasks(batcher, z, callers)),
            "threads, no Batcher": lambda: decode_by_threads(vae.decode, z, callers),
            "bare gate": lambda: by_bare_gate(callers, rows),
            "bare locks": lambda: by_bare_locks(callers, rows),
            "bare futures": lambda: seconds(lambda: by_bare_futures(callers, rows)),
        }
        for run in candidates.values():
            run()
        samples = [{name: run() for name, run in candidates.items()} for _ in range(rounds)]
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

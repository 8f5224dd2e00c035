"""Check that no call takes longer than the best plain loop over `sess.run` on the given graph.

    pip install '.[train]' && python benchmarks/bench_floor.py --cache FOLDER --out floor.json

Each model of `floor_graphs.py` is exported as plain ONNX and compiled into the cache folder, which
later runs use again; delete it to compile again. Then each verb of edgevae is measured beside a
script that does the same with onnxruntime and numpy on the exported files:

    decode, encode    a loop of `sess.run` with onnxruntime's defaults over chunks of 1, 16, 64, 256
                      or all rows; a short measurement first chooses the best of these
    generate          numpy's noise (for a mixture also its choice of the component), that loop over
                      the decoder, and numpy's packing: uint8 for images, strings for text
    score METHOD      that loop over both graphs, and the method's formula in float32 numpy. What
                      edgevae returns beside the score, the share of each value of x, is extra

One sample repeats a call for at least 5 ms; a pair is a sample of each side, in random order; the
ratio is the median of ours / plain over the pairs. Its 95 % interval is that of order statistics
(the binomial interval of a median, which assumes no distribution). An entry fails where the whole
interval lies above 1.05. The exit status is 1 if one fails.

"1 thread" is `threads=1` here and intra_op_num_threads=1 there; "all" is the default of both.

Before it is measured, both sides' results of a case are compared, except those of generate.

Bounds. A case whose plain call would take more than `--limit` seconds, by the time of the same
call with fewer rows, is left out, and the table says so: the rows of such a model are independent
and slow, so more of them cost what the largest measured number costs.

Biases. Threads of onnxruntime spin for a while after a call, and would slow the other side: with
more than one thread each sample begins after a pause, and one call that is not counted wakes the
threads. Within a sample calls follow each other without a pause, which suits spinning threads, and
plain sessions spin by default. Both sides have their sessions open and their buffers warm. Each
model has its own process. The plain loop writes chunks into one array made beforehand, which is
faster than a list and `np.concatenate`; it checks nothing.
"""

import argparse
import datetime
import json
import math
import random
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from floor_plain import Plain

from edgevae import load, scoring
from edgevae.diagnostics.bench import machine

METHODS = ("recon", "elbo", "mahalanobis", "default")
VERBS = ("decode", "encode", "generate", *(f"score {method}" for method in METHODS))
ROWS = (1, 2, 9, 64, 512, 4096)
MOST = 1.05  # the largest ratio
SAMPLE = 0.005  # seconds that a sample takes at least
# Seconds before a sample on several threads: onnxruntime's threads spin for 35 ms by default.
PAUSE = 0.04

Call = Callable[[], Any]


class Case(NamedTuple):
    """A verb's call on both sides; `chunks` are the plain loop's."""

    verb: str
    rows: int
    chunks: str
    ours: Call
    plain: Call


class Entry(NamedTuple):
    """The result of one case; `chunk` is the plain loop's, and times are medians."""

    model: str
    verb: str
    rows: int
    threads: int
    chunk: str
    ours_us: float
    plain_us: float
    ratio: float
    low: float
    high: float

    @property
    def passed(self) -> bool:
        return self.low <= MOST


class Prepared(NamedTuple):
    """The files of one model."""

    name: str
    bundle: str
    encoder: Path
    decoder: Path


def prepare(name: str, folder: Path) -> Prepared:
    """Export and compile a model into the cache folder, unless it is there."""
    import floor_graphs  # imports torch, which the process that measures must not

    from edgevae import compiler
    from edgevae.bundle import Description

    shipped = name in floor_graphs.SHIPPED
    encoder, decoder = (folder / f"{name}.{role}.onnx" for role in ("encoder", "decoder"))
    out = folder / name
    prepared = Prepared(name, name if shipped else str(out), encoder, decoder)
    if encoder.exists() and decoder.exists() and (shipped or (out / "manifest.json").exists()):
        return prepared
    folder.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")
    model = floor_graphs.write(name, folder)
    if not shipped:
        description = Description(data=model.kind)
        source = folder / f"{name}.plain"
        compiler.compile(
            decoder, encoder, out=source, replace=True, description=description,
            reading=compiler.Reading(x_range=model.x_range),
        )  # fmt: skip
        vae = load(source)
        x_normal = vae.decode(vae.sample(64, seed=1))  # enough for statistics of any value
        scorer = scoring.Scorer(vae.runner, scoring.fit(vae.runner, x_normal))
        scorer.save(out)
    return prepared


def timed(call: Call, repeat: int) -> float:
    """Return the seconds of one call, the mean of `repeat` calls in a row."""
    begin = time.perf_counter()
    for _ in range(repeat):
        call()
    return (time.perf_counter() - begin) / repeat


def pairs(ours: Call, plain: Call, count: int, pause: float) -> list[tuple[float, float]]:
    """Return `count` pairs of seconds of one call."""
    calls, result = (ours, plain), []
    estimates = [min(timed(call, 1) for _ in range(3)) for call in calls]
    repeats = [max(1, math.ceil(SAMPLE / estimate)) for estimate in estimates]
    for _ in range(count):
        times = [0.0, 0.0]
        for side in random.sample((0, 1), 2):
            time.sleep(pause)
            calls[side]()
            times[side] = timed(calls[side], repeats[side])
        result.append((times[0], times[1]))
    return result


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % interval of a median: the k-th smallest and the k-th largest value.

    k is the largest with at most 2.5 % of Binomial(n, 1/2) below it, if n is at least 6.
    """
    n, below, k = len(values), 0.0, 0
    while (below := below + math.comb(n, k) / 2**n) <= 0.025:
        k += 1
    ordered = sorted(values)
    return ordered[max(0, k - 1)], ordered[min(n - 1, n - k)]


def cases(
    prepared: Prepared, verbs: Sequence[str], rows: Sequence[int], threads: int, limit: float
) -> Iterator[Case | str]:
    """Yield the cases of one model on a number of threads, or why one is left out."""
    vae = load(prepared.bundle, provider="cpu", threads=1 if threads == 1 else None)
    plain = Plain(prepared.encoder, prepared.decoder, vae, threads)
    shape = max(rows), *vae.bundle.latent_shape
    latents = np.random.default_rng(3).standard_normal(shape, np.float32)
    few = vae.decode(latents[:16])
    dtype = {"dtype": "uint8"} if vae.bundle.data.drawable else {}
    for verb in verbs:
        per_row = 0.0
        for n in sorted(rows):
            if per_row * n > limit:
                yield f"{prepared.name}, {verb}, {n} rows: a plain call takes {per_row * n:.1f} s"
                continue
            z, x = latents[:n], np.resize(few, (n, *few.shape[1:]))
            given = x if x.shape[1:] == plain.x_shape else np.moveaxis(x, 1, -1).copy()
            encoder = 0 if verb in ("decode", "generate") else plain.choose("encoder", given)
            decoder = 0 if verb == "encode" else plain.choose("decoder", z)
            name, _, method = verb.partition(" ")
            ours, theirs = {
                "decode": (partial(vae.decode, z), partial(plain.run, "decoder", z, decoder)),
                "encode": (partial(vae.encode, x), partial(plain.run, "encoder", given, encoder)),
                "generate": (
                    partial(vae.generate, n, seed=7, **dtype),
                    partial(plain.generate, n, decoder),
                ),
                "score": (
                    partial(vae.score, x, method),
                    partial(plain.score, method, given, encoder, decoder),
                ),
            }[name]
            per_row = min(timed(theirs, 1) for _ in range(3)) / n
            chunks = "+".join(str(chunk) for chunk in (encoder, decoder) if chunk)
            yield Case(verb, n, chunks, ours, theirs)


def first(result: Any) -> Any:
    """Return x_hat, mu or the scores, whichever a verb of either side returns first."""
    for name in ("mu", "values"):
        result = getattr(result, name, result)
    return result[0] if isinstance(result, list | tuple) else result


def measure(prepared: Prepared, threads: int, args: argparse.Namespace) -> Iterator[Entry | str]:
    """Yield the entries of one model on a number of threads."""
    for case in cases(prepared, args.verb, args.rows, threads, args.limit):
        if isinstance(case, str):
            yield case
            continue
        if case.verb != "generate":  # whose noise differs
            ours, plain = (np.ravel(first(call())) for call in (case.ours, case.plain))
            np.testing.assert_allclose(ours, plain, rtol=1e-2, atol=1e-3)
        times = pairs(case.ours, case.plain, args.pairs, 0 if threads == 1 else PAUSE)
        ratios = [ours / plain for ours, plain in times]
        ours_us, plain_us = (1e6 * statistics.median(side) for side in zip(*times, strict=True))
        yield Entry(
            prepared.name, case.verb, case.rows, threads, case.chunks, ours_us, plain_us,
            statistics.median(ratios), *interval(ratios),
        )  # fmt: skip


def run(prepared: Prepared, args: argparse.Namespace) -> list[Entry | str]:
    """Print and return the entries of one model, in a process that measures no other."""
    results = []
    for threads in args.threads:
        for result in measure(prepared, threads, args):
            print(result if isinstance(result, str) else line(result), flush=True)
            results.append(result)
    return results


def line(entry: Entry) -> str:
    """Return an entry as a line of the table."""
    threads = "all" if entry.threads == 0 else entry.threads
    return (
        f"{entry.model:<20}{entry.verb:<18}{entry.rows:>5}{threads:>4}{entry.chunk:>10}"
        f"{entry.ours_us:>13,.1f}{entry.plain_us:>13,.1f}{entry.ratio:>7.2f}"
        f"  {entry.low:.2f} to {entry.high:.2f}{'' if entry.passed else '  FAILS'}"
    )


def report(results: Sequence[Entry | str], args: argparse.Namespace) -> dict[str, Any]:
    """Return the JSON."""
    entries = [result for result in results if isinstance(result, Entry)]
    return {
        "machine": machine(),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "pairs": args.pairs,
        "most": MOST,
        "interval": "95 % of the median ratio, by order statistics",
        "entries": [{**entry._asdict(), "passed": entry.passed} for entry in entries],
        "left_out": [result for result in results if isinstance(result, str)],
    }


def arguments() -> argparse.Namespace:
    import floor_graphs

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = [*floor_graphs.MODELS]
    add = parser.add_argument
    add("--cache", type=Path, required=True, help="folder of the graphs and compiled bundles")
    add("--model", nargs="+", choices=names, default=names, help="models to measure; all")
    add("--verb", nargs="+", choices=VERBS, default=VERBS, help="verbs to measure; all")
    add("--rows", nargs="+", type=int, default=ROWS, help="numbers of rows; 1 2 9 64 512 4096")
    add("--threads", nargs="+", type=int, default=(1, 0), help="1, and 0 for all; both")
    add("--pairs", type=int, default=15, help="pairs of each case; 15")
    add("--limit", type=float, default=1.0, help="seconds that a plain call may take; 1")
    add("--out", type=Path, help="JSON file to write")
    return parser.parse_args()


def main() -> int:
    args = arguments()
    results: list[Entry | str] = []
    print(", ".join(f"{key} {value}" for key, value in machine().items()))
    print("model, verb, rows, threads, chunk, ours us, plain us, ratio, its 95 % interval")
    for name in args.model:
        for step in (prepare, run):
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                if step is prepare:
                    prepared = pool.submit(prepare, name, args.cache).result()
                else:
                    results += pool.submit(run, prepared, args).result()
        if args.out:
            args.out.write_text(json.dumps(report(results, args), indent=1) + "\n")
    entries = [result for result in results if isinstance(result, Entry)]
    failed = [entry for entry in entries if not entry.passed]
    print(f"{len(entries) - len(failed)} of {len(entries)} entries pass; those that fail:")
    for entry in failed:
        print(line(entry))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

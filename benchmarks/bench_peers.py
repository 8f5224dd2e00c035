"""Compare edgevae's decoding of many latents with other ways to run a decoder on a CPU.

    python benchmarks/bench_peers.py            about 10 minutes; --quick: M1 alone, one round
    python benchmarks/bench_peers.py --from results/peers-CPU.json      the chart and tables again

Each candidate (peers.py) has its own process for each decoder (decoders.py). The processes stay
while the candidates take turns, for several rounds, so that a machine that warms up or is shared
slows them all alike. A ratio is the median over rounds of the ratio within a round; compare ratios
of one run, never figures of two runs. A neighbour on the same host, which a virtual machine cannot
see, may still slow one turn and not the next: so each goal also shows the ratios of all rounds and
of the fastest ones. All candidates take the same float32 latents and leave float32 x_hat in the
host's memory. The error is the largest difference from PyTorch's eager float32. FLOPs are those of
the original layers, two for each multiply-add, whatever a candidate computes. "sgemm" is the faster
of numpy's and PyTorch's float32 products of two square matrices, which takes turns with the rest.

A row is a candidate in a precision, on a provider: edgevae and plain onnxruntime run on the CPU,
and on OpenVINO and CUDA where they are installed; what cannot run says why. Candidates are timed at
the decoder's batch and at one row.

Biases. The naive row is one `sess.run` on the whole batch with all defaults, as in most scripts,
which is not the best that onnxruntime can do: edgevae's rows are onnxruntime too. Before they are
timed, PyTorch and OpenVINO choose among chunk sizes, OpenVINO also between its hints, and
torch.compile between two sizes, as each requires a compilation. OpenVINO runs with a static shape
and without copies. edgevae is timed through `VAE.decode`, which checks the latents; `generate`
would draw them too, a cost that the others do not have. edgevae's authors chose the architectures
of M1 to M4, and M2 and M3 suit it: no activation follows their linear layer, so that edgevae
merges it with the next layer and saves 47 % and 29 % of the FLOPs. `--decoder M2+ReLU --decoder
M3+ReLU` measures decoders without that advantage. A share of sgemm above 100 % is due to saved
FLOPs.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import peers
import peers_chart
import peers_table

from edgevae.diagnostics.bench import machine, median, percentile

DECODERS = ("M1", "M2", "M3", "M4", "fashion")  # by default
MORE = ("M2+ReLU", "M3+ReLU")
NAIVE, OURS, INT8 = "onnxruntime", "edgevae float32", "edgevae int8"
OPENVINO, BEST_TORCH = "OpenVINO float32", "best PyTorch"
TORCH = ("PyTorch, one batch", "PyTorch, best chunk", "torch.compile")
PAUSE = 0.05  # seconds between turns, after which the threads of the last one no longer spin
QUIET = 0.15  # the largest spread of naive's rounds on a quiet machine
LARGEST_ERROR = 1e-5  # of edgevae in float32
LARGEST_P50 = {"M2": 0.7}  # of edgevae at one row, in float32, over that of naive

Row = dict[str, Any]


class Goal(NamedTuple):
    """A goal: the candidate is at least `times` as fast as `rival` on one decoder."""

    decoder: str
    candidate: str
    rival: str
    times: float


GOALS = [
    Goal(decoder, candidate, rival, times)
    for candidate, rival, each in (
        (OURS, NAIVE, {"M1": 1.15, "M2": 2.5, "M3": 1.9, "M4": 1.4}),
        (OURS, OPENVINO, {"M2": 1.3, "M3": 1.2, "M4": 1.2}),
        (OURS, BEST_TORCH, {"M1": 1.5, "M2": 1.5, "M3": 1.5, "M4": 1.5}),
        (INT8, NAIVE, {"M1": 3.3, "M2": 5, "M3": 3.8, "M4": 2.6}),
    )
    for decoder, times in each.items()
]


class FailedError(Exception):
    """A candidate cannot take part; the message is the reason."""


class Worker:
    """The process of one candidate; `facts` is its first line, printed when it was ready."""

    def __init__(self, candidate: str, decoder: str, folder: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, peers.__file__, candidate, decoder, str(folder)],
            # edgevae disables onnxruntime's telemetry: so no candidate waits for it.
            env=os.environ | {"ORT_DISABLE_TELEMETRY": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # which holds the warnings of libraries
            text=True,
        )
        self.facts = self._answer()

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def times(self, rows: int, seconds: float) -> list[float]:
        """Return the seconds of each call with so many rows, for `seconds` or one call at least."""
        time.sleep(PAUSE)
        self._process.stdin.write(json.dumps({"rows": rows, "seconds": seconds}) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        line = self._process.stdout.readline()
        answer = json.loads(line) if line else {"failed": "its process ended without an answer"}
        if "failed" in answer:
            self._process.communicate()
            raise FailedError(f"failed: {answer['failed']}")
        return answer


def start(candidate: str, decoder: str, folder: Path) -> Worker:
    """Start a candidate's process; raise `FailedError` if it fails or a package is missing."""
    needs = peers.CANDIDATES[candidate].needs
    if missing := [need for need in needs if not importlib.util.find_spec(need)]:
        raise FailedError(f"not installed: pip install {' '.join(missing)}")
    return Worker(candidate, decoder, folder)


def measure(decoder: str, rounds: int, seconds: float) -> list[Row]:
    """Return a row for each candidate: its times, or why it is absent."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        facts = {}
        for step in peers.STEPS:
            with Worker(step, decoder, Path(folder)) as worker:
                facts |= worker.facts
        rows, workers = [], {}
        for name in peers.CANDIDATES:
            row = {"decoder": decoder, "candidate": name, **facts}
            rows.append(row)
            try:
                worker = stack.enter_context(start(name, decoder, Path(folder)))
            except FailedError as error:
                row["absent"] = str(error)
            else:
                row |= {**worker.facts, "seconds": [], "single_seconds": []}
                workers[name] = worker, row
        for _ in range(rounds):
            for name, (worker, row) in workers.items():
                row["seconds"].append(median(worker.times(facts["rows"], seconds)))
                if peers.CANDIDATES[name].single:
                    row["single_seconds"].append(worker.times(1, seconds))
    return rows


def summarise(rows: Sequence[Row]) -> list[Row]:
    """Return the rows of one decoder with their figures, without the row of sgemm.

    The figures are images_per_s, times_naive, share_of_sgemm and, if single rows were timed,
    p50_ms, p99_ms and single_times_naive (naive's median over the candidate's).
    """
    by_name = {row["candidate"]: row for row in rows}
    naive, product = by_name[NAIVE], by_name[peers.SGEMM]
    for row in (naive, product):
        if "absent" in row:
            raise FailedError(f"{row['candidate']}, the reference of all others: {row['absent']}")
    peaks = [2 * peers.SGEMM_SIDE**3 / seconds for seconds in product["seconds"]]
    summary = []
    for row in rows:
        if row is product:
            continue
        row = {**row, "sgemm_flops": median(peaks)}
        if "absent" not in row:
            work = row["rows"] * row["flops"]
            shares = [work / s / peak for s, peak in zip(row["seconds"], peaks, strict=True)]
            row["images_per_s"] = row["rows"] / median(row["seconds"])
            row["times_naive"] = times_faster(row["seconds"], naive["seconds"])
            row["share_of_sgemm"] = median(shares)
            if row["single_seconds"]:
                row |= single_row(row["single_seconds"], naive["single_seconds"])
        summary.append(row)
    return summary


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Return their seconds over ours in each round."""
    return [b / a for a, b in zip(ours, theirs, strict=True)]


def times_faster(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return the median over rounds of their seconds over ours."""
    return median(ratios(ours, theirs))


def single_row(ours: Sequence[Sequence[float]], theirs: Sequence[Sequence[float]]) -> Row:
    """Return the figures of calls with one row."""
    pooled = [1e3 * seconds for turn in ours for seconds in turn]
    return {
        "p50_ms": median(pooled),
        "p99_ms": percentile(pooled, 99),
        "single_times_naive": times_faster([*map(median, ours)], [*map(median, theirs)]),
    }


def judge(rows: Sequence[Row]) -> list[Row]:
    """Return a verdict on each goal of the decoders in `rows`; `got` is None if a side is absent.

    `rounds` holds the ratio of each round: their median decides, and `unanimous` is false if some
    rounds disagree with it. `fastest` is the ratio of each side's fastest round: if it is far from
    the median, noise slowed one side more than the other.
    """
    present = {(row["decoder"], row["candidate"]): row for row in rows if "absent" not in row}
    verdicts = []
    for decoder, candidate, rival, times in GOALS:
        if decoder not in {row["decoder"] for row in rows}:
            continue
        ours = present.get((decoder, candidate))
        named = TORCH if rival == BEST_TORCH else (rival,)
        theirs = [present[decoder, name] for name in named if (decoder, name) in present]
        each, fastest = [], None
        if ours and theirs:
            best = max(theirs, key=lambda row: row["images_per_s"])
            each = ratios(ours["seconds"], best["seconds"])
            fastest = min(best["seconds"]) / min(ours["seconds"])
        words = f"{candidate}, times {rival}: at least"
        verdicts.append({**verdict(decoder, words, times, each), "fastest": fastest})
    for (decoder, candidate), row in present.items():
        if candidate != OURS:
            continue
        error = f"{OURS}, error: at most"
        verdicts.append(verdict(decoder, error, LARGEST_ERROR, [row["error"]], at_most=True))
        if most := LARGEST_P50.get(decoder):
            naive = present[decoder, NAIVE]["single_seconds"]
            each = ratios([*map(median, naive)], [*map(median, row["single_seconds"])])
            words = f"{OURS}, p50 over naive's: at most"
            verdicts.append(verdict(decoder, words, most, each, at_most=True))
    return verdicts


def verdict(
    decoder: str, goal: str, asked: float, rounds: Sequence[float], *, at_most: bool = False
) -> Row:
    """Return whether the median over rounds reaches a goal, and whether all rounds agree."""
    each = [got <= asked if at_most else got >= asked for got in rounds]
    got = median(rounds) if rounds else None
    met = got is not None and (got <= asked if at_most else got >= asked)
    row = {"decoder": decoder, "goal": goal, "asked": asked, "got": got, "rounds": list(rounds)}
    return {**row, "met": met, "unanimous": len(set(each)) == 1}


def table(rows: Sequence[Row]) -> str:
    """Return the rows of one decoder as text."""
    first = rows[0]
    lines = [
        f"{first['decoder']}: {first['rows']} rows of {first['flops'] / 1e6:,.1f} MFLOP and "
        f"{first['values']:,} values; sgemm {first['sgemm_flops'] / 1e9:,.0f} GFLOP/s",
        f"edgevae compile kept: {', '.join(first['passes']) or 'no pass'}; its graph has "
        f"{first['compiled_flops'] / first['flops']:.0%} of these FLOPs",
        f"{'':<24} {'img/s':>9} {'x naive':>8} {'of sgemm':>8} {'max error':>9} "
        f"{'1 row ms':>8} {'p99 ms':>8} {'x naive':>8}",
    ]
    for row in rows:
        if "absent" in row:
            reason = row["absent"].partition(";")[0]  # without the advice, which the JSON holds
            lines.append(f"{row['candidate']:<24} {reason}")
            continue
        single = " " * 26
        if "p50_ms" in row:
            single = (
                f"{row['p50_ms']:>8.3f} {row['p99_ms']:>8.3f} {row['single_times_naive']:>7.2f}x"
            )
        lines.append(
            f"{row['candidate']:<24} {row['images_per_s']:>9,.0f} {row['times_naive']:>7.2f}x "
            f"{row['share_of_sgemm']:>8.0%} {row['error']:>9.1e} {single}  {row['how']}"
        )
    if (wide := spread(rows)) > QUIET:
        lines.append(
            f"The machine was not quiet: naive's rounds differ by {wide:.0%}, so that the ratios "
            f"mean nothing; run it again"
        )
    return "\n".join(lines)


def spread(rows: Sequence[Row]) -> float:
    """Return by how much naive's slowest round was above its fastest."""
    naive = next(row for row in rows if row["candidate"] == NAIVE)
    return max(naive["seconds"]) / min(naive["seconds"]) - 1


def verdicts_table(verdicts: Sequence[Row]) -> str:
    """Return the verdicts as text."""
    lines = [f"{'':<8} {'goal':<48} {'asked':>8} {'got':>8} {'fastest':>8}  {'in all rounds':<15}"]
    for v in verdicts:
        got, fastest = (
            "-" if v.get(key) is None else f"{v[key]:.3g}" for key in ("got", "fastest")
        )
        reach = f"{min(v['rounds']):.3g} to {max(v['rounds']):.3g}" if v["rounds"] else "-"
        words = "absent" if v["got"] is None else "met" if v["met"] else "missed"
        if v["rounds"] and not v["unanimous"]:
            words += ", not in every round"
        elif v.get("fastest") and (v["fastest"] >= v["asked"]) != v["met"]:
            words += ", not by the fastest rounds"
        lines.append(
            f"{v['decoder']:<8} {v['goal']:<48} {v['asked']:>8.3g} {got:>8} {fastest:>8}  "
            f"{reach:<15}  {words}"
        )
    return "\n".join(lines)


def save(path: Path, here: Row, rows: Sequence[Row], verdicts: Sequence[Row]) -> None:
    """Write the results as JSON, and draw them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Single rows are timed some ten thousand times; their percentiles suffice.
    kept = [{key: row[key] for key in row if key != "single_seconds"} for row in rows]
    report = {"machine": here, "rows": kept, "goals": verdicts}
    path.write_text(json.dumps(report, indent=1) + "\n")
    draw(path, report)


def draw(path: Path, report: Row) -> None:
    """Draw the chart of a report beside its file, and print the tables of docs/results.md."""
    here, rows = report["machine"], report["rows"]
    goals = {(g.decoder, g.candidate): g.times for g in GOALS if g.rival == NAIVE}
    picture = peers_chart.draw(
        rows,
        goals,
        title="Decoding many latents on a CPU",
        subtitle=f"{here['cpu']}, {here['threads']} threads, onnxruntime {here['onnxruntime']}",
    )
    picture.save(path.with_suffix(".png"))
    print(f"\n{peers_table.markdown(rows)}\n\nsaved {path.with_suffix('.png')}")


def installed(package: str) -> str | None:
    """Return the version of a package, None if it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def slug(words: str) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in words.lower()).split())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--decoder", action="append", choices=DECODERS + MORE, help="(M1 to fashion)"
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--seconds", type=float, default=0.15, help="seconds of a turn, at least (%(default)s)"
    )
    parser.add_argument(
        "--quick", action="store_true", help="one round of M1, saved only with --out"
    )
    parser.add_argument(
        "--out", type=Path, help="default: results/peers-CPU.json; the chart is written beside it"
    )
    parser.add_argument(
        "--from",
        dest="earlier",
        type=Path,
        metavar="FILE.json",
        help="measure nothing: draw the chart and print the tables of an earlier run",
    )
    args = parser.parse_args()
    if args.earlier:
        draw(args.earlier, json.loads(args.earlier.read_text()))
        return
    decoders = args.decoder or (["M1"] if args.quick else DECODERS)
    rounds, seconds = (1, 0.0) if args.quick else (args.rounds, args.seconds)
    here = machine() | {
        name: version for name in ("torch", "openvino") if (version := installed(name))
    }
    print(*(f"{key}: {value}" for key, value in here.items()), sep="\n", flush=True)
    rows = []
    for decoder in decoders:
        summary = summarise(measure(decoder, rounds, seconds))
        rows += summary
        print(f"\n{table(summary)}", flush=True)
    verdicts = judge(rows)
    print(f"\n{verdicts_table(verdicts)}")
    path = args.out
    if path is None and not args.quick:
        path = Path(__file__).parent / "results" / f"peers-{slug(here['cpu'])}.json"
    if path is not None:
        save(path, here, rows, verdicts)
        print(f"saved {path}")


if __name__ == "__main__":
    try:
        main()
    except FailedError as error:
        sys.exit(str(error))

"""`edgevae bench`: measure execution providers."""

from argparse import ArgumentParser, Namespace
from contextlib import nullcontext
from typing import IO

from edgevae.cli import options
from edgevae.cli.options import UsageError, integer, number
from edgevae.cli.reporting import Facts, Result, note, progress
from edgevae.cli.verb import Verb


def add_options(parser: ArgumentParser) -> None:
    options.add_model(parser)
    parser.add_argument(
        "--provider",
        action="append",
        metavar="P",
        help="repeatable; one that is not available is an error (default: all that are available)",
    )
    options.add_threads(parser)
    parser.add_argument("--chart", metavar="FILE.png", help="also draw the figures")
    parser.add_argument(
        "--batch",
        type=integer(1),
        action="append",
        metavar="N",
        help="rows at a time; repeatable (default: 1, 8 and 64)",
    )
    parser.add_argument(
        "--rounds",
        type=integer(1),
        default=3,
        metavar="N",
        help="processes for each measurement (default: 3)",
    )
    parser.add_argument(
        "--seconds",
        type=number(0),
        default=0.5,
        metavar="S",
        help="duration of each batch size in a process (default: 0.5)",
    )


def run(args: Namespace) -> Result:
    from edgevae import bundle
    from edgevae.diagnostics import bench
    from edgevae.files import open_output

    if args.chart and not args.chart.endswith(".png"):
        raise UsageError(f"--chart: expected a name that ends in .png, got {args.chart!r}")
    name = bundle.read(bundle.find(args.model)).name
    providers = _providers(args)
    reports = bench.measure(
        args.model,
        providers,
        batches=args.batch or bench.BATCHES,
        rounds=args.rounds,
        seconds=args.seconds,
        threads=args.threads or 0,
    )
    processes = len(providers) * len(bench.RUNNERS) * args.rounds
    with open_output(args.chart) if args.chart else nullcontext() as file:
        rows = bench.summarise([*progress(reports, processes, "process", count=lambda _: 1)])
        facts = {"model": name, **bench.machine(), "rows": rows}
        if file:
            _draw_chart(file, facts)
    return Result(facts, text=bench.table(rows))


def _providers(args: Namespace) -> list[str]:
    """Return the providers to measure: those asked for, or all that can open the bundle."""
    from edgevae.diagnostics import bench
    from edgevae.engine import providers

    if args.provider:
        return list(dict.fromkeys(providers.candidates(p)[0] for p in args.provider))
    usable = []
    for provider in providers.available():
        if reason := bench.refusal(args.model, provider):
            note(f"{provider} is left out: {reason}")
        else:
            usable.append(provider)
    return usable


def _draw_chart(file: IO[bytes], facts: Facts) -> None:
    """Write the chart of a measurement as PNG."""
    from edgevae.plots import draw_bench_chart

    rows = facts["rows"]
    subtitle = (
        f"{facts['cpu']} · {facts['threads']} threads · onnxruntime {facts['onnxruntime']} · "
        f"{rows[0]['processes']} processes each · sess.run: plain onnxruntime, same graph"
    )
    image = draw_bench_chart(rows, title=f"edgevae bench: {facts['model']}", subtitle=subtitle)
    image.save(file, "PNG")


BENCH = Verb(
    "bench",
    "Measure execution providers, each beside plain onnxruntime.",
    "edgevae bench --provider cpu --chart bench.png",
    add_options,
    run,
    "The figures are cold start, latency, throughput and memory, each measured in fresh processes "
    "beside a plain onnxruntime script on the same graph. Compare the ratios of one run; never "
    "compare figures of two runs.",
)

"""`edgevae bench`: measure execution providers, graphs and precisions beside plain onnxruntime."""

import json
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from contextlib import ExitStack
from typing import TYPE_CHECKING

from edgevae.cli import options
from edgevae.cli.options import MOST_THREADS, UsageError, integer, number
from edgevae.cli.reporting import Facts, Result, note, progress
from edgevae.cli.verb import Verb

if TYPE_CHECKING:
    from PIL.Image import Image

    from edgevae.bundle import Bundle
    from edgevae.diagnostics.bench import Case

# Equal to those of `diagnostics.bench`, which the parser does not import.
GRAPHS = ("plain", "compiled")
VERBS = ("generate", "encode", "reconstruct", "score")
PERCENTILES = (50.0, 90.0, 99.0, 99.9)


def add_options(parser: ArgumentParser) -> None:
    options.add_model(parser)
    _add_cases(parser)
    _add_effort(parser)
    parser.add_argument("--out", metavar="FILE.json", help="also write the report as JSON")
    parser.add_argument(
        "--chart", metavar="FILE.png", help="also draw the times of plain onnxruntime"
    )
    parser.add_argument(
        "--baseline",
        metavar="OLD.json",
        help="compare with an earlier --out, and say what is beyond the noise",
    )
    parser.add_argument(
        "--fail-if-slower",
        action="store_true",
        help="end with 6 if a case is slower than in --baseline, beyond the noise",
    )


def _add_cases(parser: ArgumentParser) -> None:
    """Add the options that say what is measured; each is repeatable."""
    parser.add_argument(
        "--provider",
        action="append",
        metavar="P",
        help="repeatable; one that is not available is an error (default: all that are available)",
    )
    parser.add_argument(
        "--option",
        action="append",
        type=_option,
        default=[],
        metavar="P.NAME=VALUE",
        help="an option of provider P, such as openvino.device_type=GPU; repeatable",
    )
    options.add_precisions(parser, "float32")
    parser.add_argument(
        "--graph",
        action="append",
        choices=GRAPHS,
        help="the graph that edgevae runs: plain, as it was given to the compiler, or compiled, "
        "the one that it takes by itself; repeatable (default: compiled)",
    )
    parser.add_argument(
        "--verb", action="append", choices=VERBS, help="repeatable (default: generate)"
    )
    parser.add_argument(
        "--threads",
        action="append",
        type=integer(1, MOST_THREADS),
        metavar="N",
        help="CPU threads of each runner; repeatable (default: each runner's own default)",
    )
    parser.add_argument(
        "--concurrency",
        action="append",
        type=integer(1),
        metavar="N",
        help="threads that call at the same time, on one VAE or session; repeatable (default: 1)",
    )
    parser.add_argument(
        "--batch",
        type=integer(1),
        action="append",
        metavar="N",
        help="rows of one call; repeatable (default: 1, 8 and 64)",
    )


def _add_effort(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--rounds",
        type=integer(1),
        default=5,
        metavar="N",
        help="processes for each case (default: 5)",
    )
    parser.add_argument(
        "--seconds",
        type=number(0),
        default=0.5,
        metavar="S",
        help="duration of each batch size in a process, at least (default: 0.5)",
    )
    parser.add_argument(
        "--percentile",
        type=float,
        choices=PERCENTILES,
        default=99.0,
        metavar="P",
        help="go on, for up to five times --seconds, until the calls suffice for it: 50, 90, 99 "
        "or 99.9 (default: 99)",
    )


def _option(text: str) -> tuple[str, str, str]:
    """Return the provider, the name and the value of a provider's option."""
    name, equals, value = text.partition("=")
    provider, dot, key = name.partition(".")
    if not (equals and dot and provider and key):
        raise ArgumentTypeError(f"expected PROVIDER.NAME=VALUE, got {text!r}")
    return provider, key, value


def run(args: Namespace) -> Result:
    from edgevae import bundle
    from edgevae.diagnostics import bench
    from edgevae.files import open_output

    _check_usage(args)
    old = bench.baseline.read(args.baseline) if args.baseline else None
    model = bundle.read(bundle.find(args.model))
    cases = _cases(args, model)
    effort = bench.Effort(args.batch or bench.rounds.BATCHES, args.rounds, args.seconds,
                          args.percentile)  # fmt: skip
    with ExitStack() as stack:
        out, chart = (
            stack.enter_context(open_output(path)) if path else None
            for path in (args.out, args.chart)
        )
        facts = {**bench.rounds.conditions(model, effort), **bench.machine()}
        reports = bench.measure(model, cases, effort)
        total = len(cases) * effort.rounds
        rows = bench.summarise([*progress(reports, total, "process", count=lambda _: 1)])
        facts |= {"load_average_after": bench.rounds.load_average(), "rows": rows}
        text, failure = bench.table(rows), ""
        if old:
            facts["baseline"] = comparison = bench.baseline.compare(old, facts)
            text += f"\n\n{bench.baseline.comparison_table(comparison)}"
            slower = bench.baseline.slower(comparison)
            if slower and args.fail_if_slower:
                failure = f"slower than {args.baseline}: {'; '.join(slower)}"
        if out:
            out.write(json.dumps(facts, indent=1).encode() + b"\n")
        if chart:
            _draw_chart(facts).save(chart, "PNG")
    return Result(facts, text=text, failure=failure)


def _check_usage(args: Namespace) -> None:
    for key, suffix in (("chart", ".png"), ("out", ".json")):
        path = getattr(args, key)
        if path and not path.endswith(suffix):
            raise UsageError(f"--{key}: expected a name that ends in {suffix}, got {path!r}")
    if args.fail_if_slower and not args.baseline:
        raise UsageError("--fail-if-slower: expected with --baseline; name the earlier report")


def _cases(args: Namespace, model: "Bundle") -> "list[Case]":
    """Return the cases to measure, without those that a provider of the default list refuses."""
    from edgevae.diagnostics import bench
    from edgevae.engine import providers

    names = [providers.candidates(name)[0] for name in args.provider or providers.available()]
    own: dict[str, dict[str, str]] = {}
    for name, key, value in args.option:
        own.setdefault(providers.short(name), {})[key] = value
    if unused := set(own) - set(names):
        raise UsageError(f"--option: {min(unused)} is not among the providers to measure")
    sweep = bench.Sweep(
        list(dict.fromkeys(names)),
        graphs=args.graph or ["compiled"],
        precisions=args.precision or ["float32"],
        verbs=args.verb or ["generate"],
        threads=args.threads or [None],
        concurrencies=args.concurrency or [1],
        options=own,
    )
    cases = sweep.cases(model)
    ours = {(case.provider, case.precision): case for case in cases if case.runner == "edgevae"}
    refused = {key for key, case in ours.items() if _is_refused(model, case, args.provider)}
    usable = {provider for provider, _ in set(ours) - refused}
    return [
        case
        for case in cases
        if case.provider in usable and (case.provider, case.precision) not in refused
    ]


def _is_refused(model: "Bundle", case: "Case", asked_for: list[str] | None) -> bool:
    """Return whether a provider refuses to open the bundle in a precision, and say why.

    Raises the error if the provider was asked for by name.
    """
    from edgevae.diagnostics import bench
    from edgevae.engine import Runner
    from edgevae.errors import ProviderError

    try:
        Runner(model, case.provider, case.threads, precision=case.precision)
        if not asked_for:  # else the first process of the measurement finds out
            bench.run_once(model, case, bench.Effort(rows=()))
    except ProviderError as error:
        if asked_for:
            raise
        note(f"{case.provider} in {case.precision} is left out: {error}")
        return True
    return False


def _draw_chart(facts: Facts) -> "Image":
    """Return the chart of a measurement."""
    from edgevae.diagnostics.bench import Case, tables
    from edgevae.plots import BenchBar, draw_bench_chart

    rows = facts["rows"]
    settings = [tables.setting(Case.from_json(row)) for row in rows]
    shared = settings[0] if len(set(settings)) == 1 else ""
    sections: dict[str, list[BenchBar]] = {}
    for setting, row in zip(settings, rows, strict=True):
        name = tables.name(row).replace("sess.run", "onnxruntime")
        for batch, calls in row["calls"].items():
            words = tables.count(int(batch), "row")
            words = words if shared else f"{setting}, {words}"
            time = f"{tables.short(calls['p50_ms'])} ms"
            bar = BenchBar(name, calls["times_plain"], calls["round_times_plain"], time)
            sections.setdefault(words, []).append(bar)
    threads = tables.count(facts["threads"], "thread")
    versions = f"onnxruntime {facts['onnxruntime']}, edgevae {facts['edgevae']}"
    subtitle = f"{facts['cpu']}, {threads}, {versions}, {facts['date'][:10]}"
    title = f"{facts['model']['name']}, {shared}" if shared else facts["model"]["name"]
    return draw_bench_chart(sections, title=title, subtitle=subtitle)


BENCH = Verb(
    "bench",
    "Measure graphs, precisions and providers, each beside plain onnxruntime.",
    "edgevae bench --provider cpu --precision float32 --precision int8 --out bench.json",
    add_options,
    run,
    "The figures are latency, throughput, processor time, cold start and memory, each measured in "
    "fresh processes beside a script that runs the graph as it was given to the compiler by "
    "onnxruntime alone. Compare the ratios of one run; never compare times of two runs or "
    "machines without --baseline.",
)

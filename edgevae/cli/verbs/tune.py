"""`edgevae tune`: measure the best batch sizes on this machine and store them."""

from argparse import ArgumentParser, Namespace

from edgevae.cli import options
from edgevae.cli.options import number
from edgevae.cli.reporting import Facts, Result, note, progress
from edgevae.cli.verb import Verb


def add_options(parser: ArgumentParser) -> None:
    options.add_bundle(parser)
    options.add_provider(parser)
    options.add_threads(parser)
    parser.add_argument(
        "--precision",
        action="append",
        choices=("float32", "int8"),
        help="repeatable (default: all that the bundle has)",
    )
    parser.add_argument(
        "--seconds",
        type=number(0),
        default=6.0,
        metavar="S",
        help="approximate duration for each graph (default: 6)",
    )
    parser.add_argument("--dry-run", action="store_true", help="measure, and store nothing")


def run(args: Namespace) -> Result:
    from edgevae import bundle
    from edgevae.diagnostics import tune
    from edgevae.engine import Runner, machine, tuned

    model = bundle.read(bundle.find(args.model))
    precisions = args.precision or model.precisions
    graphs: list[Facts] = []
    tables: list[str] = []
    files: list[str] = []
    for precision in precisions:
        runner = Runner(model, args.provider, args.threads, precision=precision)
        measured = tune.measure(runner, seconds=args.seconds)
        found = {}
        for each in progress(measured, len(model.roles), "graph", count=lambda _: 1):
            found[each.role] = each.tuned
            graphs.append({"precision": precision, **each._asdict(), "tuned": each.tuned._asdict()})
            tables.append(tune.table(precision, each))
        if not args.dry_run:
            files.append(str(tuned.write_tuned(model, runner.setting, found)))
    for path in files:
        note(f"wrote {path}; `edgevae info` shows which settings are in use")
    facts = {"provider": runner.provider, "threads": runner.threads, "cpu": machine.cpu_name()}
    return Result(
        {"model": model.name, **facts, "graphs": graphs, "files": files}, text="\n".join(tables)
    )


TUNE = Verb(
    "tune",
    "Measure the best batch sizes on this machine and store them for later runs.",
    "edgevae tune fashion --dry-run",
    add_options,
    run,
    "For each graph and precision, this measures sizes of a chunk and of a single call in turn. It "
    "stores the best in the user's cache folder, for this bundle, machine and number of threads. "
    "Run nothing else on the machine meanwhile.",
)

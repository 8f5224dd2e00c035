"""`edgevae tune`: find the fastest way to run a bundle on this machine, and store it."""

from argparse import ArgumentParser, Namespace

from edgevae.cli import options
from edgevae.cli.options import number
from edgevae.cli.reporting import Result, note, progress
from edgevae.cli.verb import Verb
from edgevae.errors import CheckError


def add_options(parser: ArgumentParser) -> None:
    options.add_bundle(parser)
    parser.add_argument(
        "--provider",
        action="append",
        metavar="NAME",
        help="execution provider to measure; repeatable (default: all that can be used, which also "
        'decides what the provider "auto" is)',
    )
    options.add_threads(parser)
    options.add_precisions(parser, "all that the bundle and the providers have")
    parser.add_argument(
        "--min-psnr",
        type=number(0),
        metavar="DB",
        help='the least similarity to float32 for which the precision "auto" may be another '
        "(default: it is float32)",
    )
    parser.add_argument(
        "--seconds",
        type=number(0),
        default=4.0,
        metavar="S",
        help="approximate duration for each graph, provider and precision (default: 4)",
    )
    parser.add_argument("--dry-run", action="store_true", help="measure, and store nothing")


def run(args: Namespace) -> Result:
    from edgevae import bundle
    from edgevae.diagnostics import tune
    from edgevae.engine import machine, providers, tuned

    model = bundle.read(bundle.find(args.model))
    names = [name for each in args.provider or [] for name in providers.candidates(each)]
    tuner = tune.Tuner(model, names, args.precision, threads=args.threads, seconds=args.seconds)
    for _ in progress(tuner.steps(), tuner.most_steps, "step", count=lambda _: 1):
        pass
    tuning = tuner.tuning(args.min_psnr)
    if not tuning.settings:
        reasons = "; ".join(f"{' '.join(each)}: {reason}" for each, reason in tuner.refused.items())
        raise CheckError(f"no provider can run {model.path}: {reasons}")
    facts = {"model": model.name, "cpu": machine.cpu_name(), "threads": tuner.threads}
    if not args.dry_run:
        facts["file"] = str(tuned.write(model, tuner.threads, tuning))
        note(f"wrote {facts['file']}; `edgevae info` shows what is in use")
    return Result({**facts, **tuning.as_json()}, text=tune.table(tuner, tuning))


TUNE = Verb(
    "tune",
    "Find the fastest way to run a bundle on this machine, and store it for later runs.",
    "edgevae tune fashion --dry-run",
    add_options,
    run,
    "For each provider, graph and precision this checks the outputs and measures how many rows to "
    "run at a time, by how many workers and threads. It stores the fastest in the user's cache "
    "folder, for this bundle, machine and number of threads. Run nothing else on the machine "
    "meanwhile.",
)

"""`edgevae score`: compute how unusual each item is."""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from typing import TYPE_CHECKING

from edgevae.cli import options
from edgevae.cli.options import UsageError, number
from edgevae.cli.reporting import FLAGGED, OK, Result, written
from edgevae.cli.verb import Verb
from edgevae.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgevae.bundle import Bundle

    Floats = NDArray[np.float32]


def add_options(parser: ArgumentParser) -> None:
    options.add_inputs(parser)
    options.add_out(
        parser,
        ".csv, .jsonl, or - for standard output, as CSV or, with --json, as JSON (default: -)",
    )
    parser.add_argument(
        "--method",
        default="default",
        metavar="M",
        help="scoring method: default, recon, elbo, iwae, mahalanobis or nap (default: default)",
    )
    parser.add_argument(
        "--alpha",
        type=number(0),
        metavar="A",
        help="rate of normal items that may be flagged (default: the calibration's)",
    )
    parser.add_argument(
        "--threshold",
        type=number(),
        metavar="V",
        help="flag values from V on, with or without a calibration",
    )
    parser.add_argument(
        "--heatmaps",
        metavar="FOLDER",
        help="also write a PNG of each image with its unusual pixels highlighted",
    )
    options.add_draws(parser)
    options.add_runtime(parser)


def run(args: Namespace) -> Result:
    from dataclasses import replace

    from edgevae.files import FileNames, score_lines, write_folder

    out = args.out or "-"
    try:
        form = score_lines.form_of(out, args.json)
    except ValueError as error:
        raise UsageError(f"--out: {error}") from error
    if args.alpha is not None and args.threshold is not None:
        raise UsageError("--alpha flags by p-values, --threshold by scores: use one of them")
    vae = options.load(args)
    if args.heatmaps and not vae.bundle.data.drawable:
        raise UsageError(f"--heatmaps are of images; {vae.bundle.name!r} takes {vae.bundle.kind}s")
    names = FileNames()
    done = flagged = 0
    with score_lines.open_writer(out, form) as write:
        for ids, x in options.stream_inputs(args.inputs, args, vae.bundle):
            try:
                scores = vae.score(x, args.method, alpha=args.alpha, draws=args.draws, start=done)
            except InputError as error:
                if not str(error).startswith("x: "):  # about an option
                    raise
                source = "standard input" if args.inputs == ["-"] else ", ".join(args.inputs)
                raise InputError(f"{source}, from row {done} on: {error}") from error
            if args.threshold is not None:
                scores = replace(scores, is_anomaly=scores.values >= args.threshold)
            if args.heatmaps:
                maps = _heatmaps(x, scores.parts, vae.bundle)
                write_folder(args.heatmaps, maps, ids, (0.0, 1.0), names=names)
            write(score_lines.records(ids, scores, vae.bundle))
            done += len(ids)
            flagged += 0 if scores.is_anomaly is None else int(scores.is_anomaly.sum())
    facts = {"rows": done, "method": args.method, "flagged": flagged}
    return written(out, facts, FLAGGED if flagged else OK)


def _heatmaps(x: "Floats", parts: "Floats", bundle: "Bundle") -> "Iterator[Floats]":
    """Yield a heat map of each image of x, float32 (n, C, H, W), as a batch of one."""
    from edgevae.plots import draw_heatmaps

    for i in range(len(x)):
        yield draw_heatmaps(x[i : i + 1], parts[i : i + 1], bundle.x_range or (0.0, 1.0))


SCORE = Verb(
    "score",
    "Compute how unusual each item is.",
    "edgevae score readings.csv --model pump --out scores.csv",
    add_options,
    run,
    "Each item gets one line: its id and its value, which is higher for more unusual items. A "
    "calibrated bundle adds a p-value and whether the item is an anomaly; JSON also has the "
    "features that add most to the value. Lines on standard input, which are CSV, JSON or text, "
    "are answered one by one. The exit code is 10 if any item was flagged.",
)

"""`edgevae traverse`: decode an item along some dimensions of its latent."""

from argparse import ArgumentParser, Namespace

from edgevae.cli import options
from edgevae.cli.destinations import form_of
from edgevae.cli.options import ROWS, SHEETS, UsageError, integer, number
from edgevae.cli.reporting import Result, progress, written
from edgevae.cli.verb import Verb


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument(
        "input", metavar="INPUT", help="an image, or a .npy, .npz or table of one item, or -"
    )
    options.add_resize(parser)
    parser.add_argument(
        "--dim",
        type=integer(0),
        action="append",
        metavar="D",
        help="a dimension, counted from 0; repeatable",
    )
    parser.add_argument(
        "--most",
        type=integer(1),
        default=8,
        metavar="K",
        help="number of dimensions if --dim is absent (default: 8)",
    )
    parser.add_argument(
        "--steps",
        type=integer(2),
        default=9,
        metavar="N",
        help="values of each dimension (default: 9)",
    )
    parser.add_argument(
        "--span",
        type=number(0),
        default=1.5,
        metavar="S",
        help="distance to go on both sides of the prior's median, in standard deviations "
        "(default: 1.5)",
    )
    options.add_out(
        parser,
        f"{SHEETS} sheet, .gif, folder/, {ROWS}, or - (default: traversed.png, or traversed.npy "
        "for vectors and signals)",
    )
    options.add_scale(parser)
    options.add_runtime(parser)


def run(args: Namespace) -> Result:
    import numpy as np

    from edgevae import files

    vae = options.load(args)
    out = args.out or vae.bundle.data.default_output("traversed", ".png")
    form = form_of(out, vae.bundle, scale=args.scale)
    posterior = vae.encode(options.read_one(args.input, args, vae.bundle))
    if unknown := [dim for dim in args.dim or () if dim >= vae.bundle.dims]:
        raise UsageError(f"--dim: expected 0 to {vae.bundle.dims - 1}, got {unknown[0]}")
    # A narrow posterior means that the dimension carries much information about the item.
    narrowest = np.argsort(posterior.logvar.ravel(), kind="stable")[: args.most].tolist()
    dims: list[int] = args.dim or narrowest
    rows = len(dims) * args.steps
    batches = (vae.traverse(posterior.mu[0], dim, args.steps, span=args.span) for dim in dims)
    results = files.Results(
        progress(batches, rows),
        rows,
        vae.bundle.data,
        ids=[f"dim-{dim}-{step:03d}" for dim in dims for step in range(args.steps)],
        columns=args.steps,
        labels=[f"dim {dim}" for dim in dims],
    )
    files.save(out, form, results, scale=args.scale)
    return written(out, {"rows": rows, "dims": " ".join(map(str, dims))})


TRAVERSE = Verb(
    "traverse",
    "Show what each of some dimensions of an item's latent changes.",
    "edgevae traverse shirt.png --dim 3 --dim 7 --out sheet.png",
    add_options,
    run,
    "The sheet has one line for each dimension; all other dimensions stay as in the input. "
    "Without --dim, the dimensions are those of which the encoder is most certain.",
)

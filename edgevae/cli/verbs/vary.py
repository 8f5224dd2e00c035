"""`edgevae vary`: generate variations of each item."""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from typing import TYPE_CHECKING

from edgevae.cli import options
from edgevae.cli.destinations import form_of
from edgevae.cli.options import ROWS, SHEETS, integer, number
from edgevae.cli.reporting import Result, progress, written
from edgevae.cli.verb import Verb

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def add_options(parser: ArgumentParser) -> None:
    options.add_inputs(parser)
    parser.add_argument(
        "-n",
        type=integer(1),
        default=12,
        metavar="N",
        help="variations per input (default: 12)",
    )
    parser.add_argument(
        "--strength",
        type=number(0),
        default=2.0,
        metavar="S",
        help="0 gives the reconstruction; 1 gives draws of the posterior, which look alike; 2 and "
        "3 give clearly different items; 10 and more give unrelated items (default: 2)",
    )
    options.add_out(
        parser,
        f"{SHEETS} sheet, folder/, .gif, {ROWS}, or - (default: varied.png, or varied.npy for "
        "vectors and signals)",
    )
    options.add_scale(parser)
    options.add_seed(parser)
    options.add_runtime(parser)


def run(args: Namespace) -> Result:
    from edgevae import files

    vae = options.load(args)
    out = args.out or vae.bundle.data.default_output("varied", ".png")
    form = form_of(out, vae.bundle, scale=args.scale)
    items = options.read_inputs(args.inputs, args, vae.bundle)
    seed = options.seed(args)
    rows = items.rows * args.n

    def batches() -> "Iterator[NDArray[np.float32]]":
        start = args.start
        for x in items.batches:
            varied: NDArray[np.float32] = vae.vary(x, args.n, args.strength, seed=seed, start=start)
            start += len(x)
            yield varied.reshape(-1, *vae.bundle.x_shape)

    ids = None  # variations of an array have numbers
    if items.form != "array":
        ids = [f"{name}-{i}" for name in items.ids for i in range(args.n)]
    results = files.Results(
        progress(batches(), rows),
        rows,
        vae.bundle.data,
        ids=ids,
        dtype=items.dtype,
        columns=args.n if items.rows > 1 else None,
    )
    files.save(out, form, results, scale=args.scale)
    facts = {"rows": rows, "seed": seed, "start": args.start, "strength": args.strength}
    return written(out, {**facts, "provider": vae.provider})


VARY = Verb(
    "vary",
    "Make items that are similar to each input and different from it.",
    "edgevae vary shirt.png -n 12 --strength 2 --out sheet.png",
    add_options,
    run,
    "A sheet has one line of variations for each input, or is nearly square for a single input.",
)

"""`edgevae interpolate`: decode the path between two latents."""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from math import ceil
from typing import TYPE_CHECKING

from edgevae.cli import options
from edgevae.cli.destinations import form_of
from edgevae.cli.options import ROWS, SHEETS, UsageError, integer
from edgevae.cli.reporting import Facts, Result, progress, written
from edgevae.cli.verb import Verb

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgevae.vae import VAE

    Floats = NDArray[np.float32]


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument(
        "inputs",
        nargs="*",
        metavar="INPUT",
        help="two files of one item each: images, .npy, .npz or tables; for text: two strings",
    )
    options.add_resize(parser)
    parser.add_argument(
        "--steps", type=integer(2), default=30, metavar="N", help="number of frames (default: 30)"
    )
    parser.add_argument(
        "--spherical",
        action="store_true",
        help="follow the great circle, which suits a standard normal prior of many dimensions",
    )
    parser.add_argument(
        "--bounce", action="store_true", help="append the way back, for a .gif that repeats"
    )
    options.add_label(parser)
    options.add_out(
        parser,
        f"animated .gif, {SHEETS} strip, folder/, {ROWS}, or - (default: walk.gif, or walk.npy for "
        "vectors and signals)",
    )
    options.add_scale(parser)
    options.add_seed(parser)
    options.add_runtime(parser)


def run(args: Namespace) -> Result:
    import numpy as np

    from edgevae import files
    from edgevae.latents import paths

    if len(args.inputs) not in (0, 2) or (args.inputs and args.seed is not None):
        raise UsageError("expected two inputs, or none and --seed to walk between two samples")
    vae = options.load(args)
    out = args.out or vae.bundle.data.default_output("walk", ".gif")
    form = form_of(out, vae.bundle, scale=args.scale)
    a, b, ends = _ends(args, vae)
    path = (paths.arc if args.spherical else paths.line)(a, b, args.steps)
    if args.bounce:
        path = np.concatenate([path, path[-2:0:-1]])
    rows, labels = len(path), options.labels(args)

    def batches() -> "Iterator[Floats]":
        for z in np.array_split(path, ceil(rows / 256)):
            yield vae.decode(z, labels=labels)

    results = files.Results(progress(batches(), rows), rows, vae.bundle.data, columns=rows)
    files.save(out, form, results, scale=args.scale)
    return written(out, {"rows": rows, **ends})


def _ends(args: Namespace, vae: "VAE") -> "tuple[Floats, Floats, Facts]":
    """Return the latents of both ends, and the facts about their origin."""
    import numpy as np

    if args.inputs:
        items = [options.read_one(path, args, vae.bundle) for path in args.inputs]
        a, b = vae.encode(np.concatenate(items)).mu
        return a, b, {"inputs": args.inputs}
    seed = options.seed(args)
    a, b = vae.sample(2, seed=seed, start=args.start, labels=options.labels(args))
    return a, b, {"seed": seed, "start": args.start}


INTERPOLATE = Verb(
    "interpolate",
    "Decode the path between two latents, a line or an arc.",
    "edgevae interpolate a.png b.png --steps 30 --out walk.gif",
    add_options,
    run,
    "The path joins the latents of two inputs. Without inputs, it joins the rows START and "
    "START + 1 that --seed generates. Both ends are among the steps.",
)

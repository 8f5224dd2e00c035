"""`edgevae interpolate` and `edgevae traverse`: decode paths through the latent space."""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from math import ceil
from typing import TYPE_CHECKING

from edgevae.cli import options
from edgevae.cli.destinations import form_of
from edgevae.cli.options import ROWS, SHEETS, UsageError, integer, number
from edgevae.cli.reporting import Facts, Result, progress, written
from edgevae.cli.verb import Verb
from edgevae.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgevae.vae import VAE

    Floats = NDArray[np.float32]


def add_interpolate_options(parser: ArgumentParser) -> None:
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


def interpolate(args: Namespace) -> Result:
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
    """Return the latents of both ends, and the facts that say where they come from."""
    import numpy as np

    if args.inputs:
        items = [_read_one(path, args, vae) for path in args.inputs]
        a, b = vae.encode(np.concatenate(items)).mu
        return a, b, {"inputs": args.inputs}
    seed = options.seed(args)
    a, b = vae.sample(2, seed=seed, start=args.start, labels=options.labels(args))
    return a, b, {"seed": seed, "start": args.start}


def _read_one(path: str, args: Namespace, vae: "VAE") -> "Floats":
    """Return the one item of a file, float32 (1, *x_shape)."""
    items = options.read_inputs([path], args, vae.bundle)
    if items.rows != 1:
        raise InputError(f"{path}: expected one item, got {items.rows}; name a file of one item")
    return next(items.batches)


def add_traverse_options(parser: ArgumentParser) -> None:
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


def traverse(args: Namespace) -> Result:
    import numpy as np

    from edgevae import files

    vae = options.load(args)
    out = args.out or vae.bundle.data.default_output("traversed", ".png")
    form = form_of(out, vae.bundle, scale=args.scale)
    posterior = vae.encode(_read_one(args.input, args, vae))
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


INTERPOLATE = Verb(
    "interpolate",
    "Decode the path between two latents, a line or an arc.",
    "edgevae interpolate a.png b.png --steps 30 --out walk.gif",
    add_interpolate_options,
    interpolate,
    "The path joins the latents of two inputs. Without inputs, it joins the rows START and "
    "START + 1 that --seed generates. Both ends are among the steps.",
)
TRAVERSE = Verb(
    "traverse",
    "Show what each of some dimensions of an item's latent changes.",
    "edgevae traverse shirt.png --dim 3 --dim 7 --out sheet.png",
    add_traverse_options,
    traverse,
    "The sheet has one line for each dimension; all other dimensions stay as in the input. "
    "Without --dim, the dimensions are those of which the encoder is most certain.",
)

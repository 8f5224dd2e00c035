"""`edgevae decode`: decode latents."""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from typing import TYPE_CHECKING

from edgevae.cli import options
from edgevae.cli.destinations import form_of
from edgevae.cli.options import ROWS, SHEETS
from edgevae.cli.reporting import Result, progress, written
from edgevae.cli.verb import Verb

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgevae.bundle import Bundle


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument(
        "latents",
        metavar="LATENTS",
        help=".npz with z or mu, .npy, a table, or - for standard input",
    )
    options.add_out(
        parser,
        f"{SHEETS} sheet, folder/ of PNGs, .gif, {ROWS}, or - for .npy on standard output "
        "(default: decoded.png, or decoded.npy for vectors and signals)",
    )
    options.add_scale(parser)
    parser.add_argument(
        "--tile", action="store_true", help="decode large latents in tiles of latent_shape"
    )
    options.add_labels(parser, "none; a bundle with classes needs them")
    options.add_runtime(parser)


def run(args: Namespace) -> Result:
    from dataclasses import replace

    from edgevae import files, tiling
    from edgevae.data import class_numbers

    vae = options.load(args)
    out = args.out or vae.bundle.data.default_output("decoded", ".png")
    form = form_of(out, vae.bundle, scale=args.scale)
    z = files.read_latents(args.latents, vae.bundle)
    if not args.tile:
        _check_shape(z, args.latents, vae.bundle)
    y = class_numbers(options.labels(args), vae.bundle.classes, len(z))
    data = vae.bundle.data
    if args.tile:
        data = replace(data, x_shape=tiling.x_shape(vae.bundle, z))

    def batches() -> "Iterator[NDArray[np.float32]]":
        step = 1 if args.tile else 256
        for rows in (slice(first, first + step) for first in range(0, len(z), step)):
            yield vae.decode(z[rows], labels=None if y is None else y[rows], tile=args.tile)

    results = files.Results(progress(batches(), len(z)), len(z), data)
    files.save(out, form, results, scale=args.scale)
    facts = {"rows": len(z), "shape": list(data.x_shape), "provider": vae.provider}
    return written(out, facts)


def _check_shape(z: "NDArray[np.float32]", path: str, bundle: "Bundle") -> None:
    """Raise `InputError` unless z are latents of the bundle: (N, *latent_shape)."""
    from edgevae.errors import InputError

    if z.shape[1:] == bundle.latent_shape:
        return
    dims = ", ".join(map(str, bundle.latent_shape))
    hint = "; --tile decodes larger ones" if bundle.tiles and z.ndim == 4 else ""
    raise InputError(f"{path}: z: expected shape (N, {dims}) or ({dims}), got {z.shape}{hint}")


DECODE = Verb(
    "decode",
    "Decode latents, such as those that `encode` writes.",
    "edgevae decode latents.npz --out sheet.png",
    add_options,
    run,
    "Latents are float32 (N, *latent_shape). With --tile and a convolutional decoder they are "
    "(N, C, H, W) of any height and width; beside the result, this takes memory for a few tiles "
    "only.",
)

"""`edgevae reconstruct` and `edgevae denoise`: map each item to an item of the same type."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from edgevae.cli import options
from edgevae.cli.destinations import form_of, out_like_inputs
from edgevae.cli.options import ROWS, SHEETS, UsageError
from edgevae.cli.reporting import Result, progress, written
from edgevae.cli.verb import Verb

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgevae.vae import VAE

    Floats = NDArray[np.float32]


def add_options(parser: ArgumentParser) -> None:
    options.add_inputs(parser)
    options.add_out(
        parser,
        f"{SHEETS} sheet, folder/ of PNGs named as the inputs, .gif, {ROWS}, or - (default: the "
        "inputs' own form: reconstructed.png, reconstructed/, denoised.npy, ...)",
    )
    options.add_scale(parser)
    parser.add_argument(
        "--compare", action="store_true", help="draw a sheet of pairs: input, output"
    )
    options.add_label(parser)
    options.add_runtime(parser)


def reconstruct(args: Namespace) -> Result:
    vae = options.load(args)
    run = partial(vae.reconstruct, labels=options.labels(args))
    return _map_items(args, vae, run, "reconstructed")


def denoise(args: Namespace) -> Result:
    vae = options.load(args)
    return _map_items(args, vae, partial(vae.denoise, labels=options.labels(args)), "denoised")


def _map_items(args: Namespace, vae: "VAE", run: "Callable[[Floats], Floats]", stem: str) -> Result:
    """Run every batch of the inputs and write the results in the inputs' own form."""
    import numpy as np

    from edgevae import files

    items = options.read_inputs(args.inputs, args, vae.bundle)
    out = args.out or out_like_inputs(args.inputs, items, stem)
    stream = {"image": "sheet", "table": "table"}.get(items.form, "npy")
    form = form_of(out, vae.bundle, scale=args.scale, stream=stream)
    if args.compare and form != "sheet":
        raise UsageError(f"--compare draws a sheet: --out needs a name in {SHEETS}, got {out!r}")
    rows, columns = items.rows, None
    if args.compare:
        _, height, width = vae.bundle.x_shape
        rows, columns = 2 * rows, 2 * files.near_square(rows, height, 2 * width)

    def batches() -> "Iterator[Floats]":
        for x in items.batches:
            x_hat = run(x)
            pairs = np.stack([x, x_hat], axis=1) if args.compare else x_hat
            yield pairs.reshape(-1, *vae.bundle.x_shape)

    results = files.Results(
        progress(batches(), rows),
        rows,
        vae.bundle.data,
        ids=items.ids,
        dtype=items.dtype,
        columns=columns,
    )
    files.save(out, form, results, scale=args.scale)
    return written(out, {"rows": items.rows, "provider": vae.provider})


RECONSTRUCT = Verb(
    "reconstruct",
    "Encode and decode each item, at z = mu.",
    "edgevae reconstruct a.png b.png --compare --out pairs.png",
    add_options,
    reconstruct,
    "The output has the type of the input.",
)
DENOISE = Verb(
    "denoise",
    "Remove noise with an encoder that was trained on noisy items.",
    "edgevae denoise - < noisy.png > clean.png",
    add_options,
    denoise,
    "The output has the type of the input.",
)

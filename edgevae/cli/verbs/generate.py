"""`edgevae generate`: decode rows drawn from the prior."""

import shlex
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from edgevae.cli import options
from edgevae.cli.destinations import form_of
from edgevae.cli.options import ROWS, SHEETS, UsageError, integer, number
from edgevae.cli.reporting import Result, progress, written
from edgevae.cli.verb import Verb

if TYPE_CHECKING:
    from edgevae.vae import VAE


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument(
        "n", nargs="?", type=integer(0), default=1, help="number of rows (default: 1)"
    )
    options.add_out(
        parser,
        f"{SHEETS} sheet, folder/ of PNGs, .gif, {ROWS}, or - for .npy on standard output "
        "(default: samples.png, or samples.npy for vectors and signals); for text: .txt, or - for "
        "lines (default: -)",
    )
    options.add_scale(parser)
    options.add_seed(parser)
    parser.add_argument(
        "--temperature",
        type=number(0),
        default=1.0,
        metavar="T",
        help="factor of the noise's standard deviation (default: 1)",
    )
    options.add_labels(parser, "each class in turn")
    parser.add_argument(
        "--dtype",
        choices=("float32", "uint8"),
        help="type of arrays: float32 (N,C,H,W) as in training, or uint8 (N,H,W,C) for images "
        "(default: float32)",
    )
    options.add_runtime(parser)


def run(args: Namespace) -> Result:
    import numpy as np

    from edgevae import files

    vae = options.load(args)
    out = args.out or vae.bundle.data.default_output("samples", ".png")
    form = form_of(out, vae.bundle, scale=args.scale)
    _check_dtype(args.dtype, form, out, vae)
    seed = options.seed(args)
    batches = vae.stream(
        args.n,
        seed=seed,
        start=args.start,
        temperature=args.temperature,
        labels=options.labels(args),
    )
    results = files.Results(
        progress(batches, args.n),
        args.n,
        vae.bundle.data,
        ids=range(args.start, args.start + args.n),
        dtype=args.dtype or "float32",
        note=_command(args, vae.bundle.name, seed),
        arrays={"seed": np.array(seed, np.uint64), "start": np.array(args.start, np.uint64)},
    )
    files.save(out, form, results, scale=args.scale)
    facts = {"start": args.start, "temperature": args.temperature, "model": vae.bundle.name}
    return written(out, {"rows": args.n, "seed": seed, **facts, "provider": vae.provider})


def _check_dtype(dtype: str | None, form: str, out: str, vae: "VAE") -> None:
    """Raise UsageError if results of this bundle in this form cannot be of type `dtype`."""
    from edgevae.files import PICTURES

    if dtype == "float32" and form in PICTURES:
        raise UsageError(f"--dtype float32: pictures are uint8; write .npy or .npz, not {out}")
    if dtype == "uint8" and form == "table":
        raise UsageError(f"--dtype uint8: tables are float32; write .npy or .npz, not {out}")
    if dtype == "uint8" and not vae.bundle.data.drawable:
        raise UsageError(
            f"--dtype uint8 is for images; {vae.bundle.name!r} returns {vae.bundle.kind}s"
        )


def _command(args: Namespace, model: str, seed: int) -> str:
    """Return the command line that generates the same rows, without the program's name."""
    command = f"generate {args.n} --model {model} --seed {seed} --start {args.start}"
    if args.labels:
        command += f" --labels {shlex.join(args.labels)}"
    if args.scale:
        command += f" --scale {args.scale}"
    return f"{command} --temperature {args.temperature:g}"


GENERATE = Verb(
    "generate",
    "Decode rows drawn from the prior.",
    "edgevae generate 64 --seed 7 --out samples.png",
    add_options,
    run,
    "Row i depends on the seed and on i alone, so --start 100 continues a run of 100 rows. "
    "A picture carries the command that generates it again: a PNG as its text 'edgevae', a JPEG or "
    "WebP as its Exif description.",
)

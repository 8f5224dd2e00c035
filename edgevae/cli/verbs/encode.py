"""`edgevae encode`: write the posterior of each item."""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from typing import TYPE_CHECKING

from edgevae.cli import options
from edgevae.cli.destinations import form_named
from edgevae.cli.options import UsageError
from edgevae.cli.reporting import Result, progress, written
from edgevae.cli.verb import Verb

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def add_options(parser: ArgumentParser) -> None:
    options.add_inputs(parser)
    options.add_out(parser, ".npz, or - for standard output (default: latents.npz)")
    options.add_runtime(parser)


def run(args: Namespace) -> Result:
    import numpy as np

    from edgevae.files import outputs

    out = args.out or ("-" if args.inputs == ["-"] else "latents.npz")
    if form_named(out, stream="npz") != "npz":
        raise UsageError(f"--out: mu and logvar need a name that ends in .npz, got {out!r}")
    vae = options.load(args)
    items = options.read_inputs(args.inputs, args, vae.bundle)
    shape = items.rows, *vae.bundle.latent_shape
    mu, logvar = np.empty(shape, np.float32), np.empty(shape, np.float32)

    def batches() -> "Iterator[NDArray[np.float32]]":
        done = 0
        for x in items.batches:
            rows = slice(done, done := done + len(x))
            posterior = vae.encode(x)
            mu[rows], logvar[rows] = posterior.mu, posterior.logvar
            yield mu[rows]

    outputs.write_npz(out, "mu", progress(batches(), items.rows), shape, "float32", logvar=logvar)
    return written(out, {"rows": items.rows, "latent_shape": list(vae.bundle.latent_shape)})


ENCODE = Verb(
    "encode",
    "Write the posterior of each item.",
    "edgevae encode photos/ --out latents.npz",
    add_options,
    run,
    "The archive holds mu and logvar, the log of the variance, as float32 (N, *latent_shape).",
)

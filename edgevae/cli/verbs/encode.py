"""`edgevae encode`: write the posterior of each item."""

from argparse import ArgumentParser, Namespace

from edgevae.cli import options
from edgevae.cli.destinations import form_named
from edgevae.cli.options import UsageError
from edgevae.cli.reporting import Result, progress, written
from edgevae.cli.verb import Verb


def add_options(parser: ArgumentParser) -> None:
    options.add_inputs(parser)
    options.add_out(
        parser, ".npz, .csv, .parquet, or - for .npz on standard output (default: latents.npz)"
    )
    options.add_runtime(parser)


def run(args: Namespace) -> Result:
    from edgevae.files import save_posteriors

    out = args.out or ("-" if args.inputs == ["-"] else "latents.npz")
    if (form := form_named(out, stream="npz")) not in ("npz", "table"):
        raise UsageError(
            f"--out: mu and logvar need a name that ends in .npz, .csv or .parquet, got {out!r}"
        )
    vae = options.load(args)
    items = options.read_inputs(args.inputs, args, vae.bundle)
    posteriors = progress(map(vae.encode, items.batches), items.rows)
    save_posteriors(out, form, posteriors, items.rows, vae.bundle, items.ids)
    return written(out, {"rows": items.rows, "latent_shape": list(vae.bundle.latent_shape)})


ENCODE = Verb(
    "encode",
    "Write the posterior of each item.",
    "edgevae encode photos/ --out latents.npz",
    add_options,
    run,
    "The archive holds mu and logvar, the log of the variance, as float32 (N, *latent_shape); a "
    "table has the columns id, mu0, mu1, ..., logvar0, logvar1, ...",
)

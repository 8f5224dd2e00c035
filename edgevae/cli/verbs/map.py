"""`edgevae map`: draw the latent space."""

from argparse import ArgumentParser, Namespace

from edgevae.cli import options
from edgevae.cli.reporting import Result, note, progress, written
from edgevae.cli.verb import Verb
from edgevae.errors import InputError


def add_options(parser: ArgumentParser) -> None:
    options.add_inputs(parser)
    options.add_out(parser, "folder for the pictures (default: map/)")
    options.add_runtime(parser)


def run(args: Namespace) -> Result:
    import numpy as np

    from edgevae.files import read_labels, write_figure
    from edgevae.latents import Posterior
    from edgevae.plots import draw_latent_maps

    vae = options.load(args)
    items = options.read_inputs(args.inputs, args, vae.bundle)
    labels = read_labels(args.inputs, items.rows)
    posteriors = [vae.encode(x) for x in progress(items.batches, items.rows)]
    parts = ([getattr(each, part) for each in posteriors] for part in ("mu", "logvar"))
    posterior = Posterior(*(np.concatenate(part) for part in parts))
    if len(posterior.mu) < 3:
        raise InputError(f"a map needs at least 3 items, got {len(posterior.mu)}; add more inputs")
    folder = args.out or "map/"
    for name, figure in draw_latent_maps(vae, posterior, labels).items():
        write_figure(folder, name, figure)
        note(f"drew {name}.png")
    return written(folder, {"rows": items.rows, "labelled": labels is not None})


MAP = Verb(
    "map",
    "Draw the latent space: the items, the prior, the active units and a manifold.",
    "edgevae map test.npz --out map/",
    add_options,
    run,
    "The pictures are scatter.png, prior.png, units.png and, for a latent of two dimensions, "
    "manifold.png. An .npz of x may hold labels y, which become colours. This needs the extra "
    "`plot`: pip install 'edgevae[plot]'.",
)

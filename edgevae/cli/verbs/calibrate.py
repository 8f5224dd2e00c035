"""`edgevae calibrate`: write a bundle that gives p-values."""

from argparse import ArgumentParser, Namespace

from edgevae.cli import options
from edgevae.cli.options import number
from edgevae.cli.reporting import Result, written
from edgevae.cli.verb import Verb


def add_options(parser: ArgumentParser) -> None:
    options.add_bundle(parser)
    parser.add_argument(
        "--data",
        required=True,
        nargs="+",
        metavar="INPUT",
        help="normal items, in any form that `score` reads",
    )
    options.add_resize(parser)
    parser.add_argument("--out", required=True, metavar="BUNDLE", help="folder to write")
    parser.add_argument(
        "--alpha",
        type=number(0),
        default=0.01,
        metavar="A",
        help="rate of normal items that may be flagged (default: 0.01)",
    )
    parser.add_argument(
        "--method",
        action="append",
        metavar="M",
        help="scoring method; repeatable (default: all but iwae, which is slow)",
    )
    options.add_draws(parser)
    options.add_session(parser)


def run(args: Namespace) -> Result:
    import numpy as np

    vae = options.load(args)
    stream = options.stream_inputs(args.data, args, vae.bundle, disjoint=True)
    batches = [x for _, x in stream]
    x = np.concatenate(batches or [np.empty((0, *vae.bundle.x_shape), np.float32)])
    calibrated = vae.calibrate(x, args.alpha, methods=args.method, draws=args.draws)
    bundle = calibrated.save(args.out)
    calibration = calibrated.calibration
    assert calibration is not None
    normals = {name: len(scores) for name, scores in calibration.scores.items()}
    facts = {
        "model": bundle.name,
        "alpha": calibration.alpha,
        "fitted_on": len(x) - max(normals.values()),
        "normals": normals,
    }
    return written(args.out, facts)


CALIBRATE = Verb(
    "calibrate",
    "Write a bundle that gives p-values, from normal items that it was not trained on.",
    "edgevae calibrate pump --data normal.csv --out pump-calibrated",
    add_options,
    run,
    "A bundle without statistics of its training items gets them from the first half of the data. "
    "A rate of A needs at least 1 / A - 1 items for the calibration. They must be exchangeable "
    "with the items to be scored: the steps of a signal are cut into windows that do not overlap, "
    "and it is best to take them from many runs.",
)

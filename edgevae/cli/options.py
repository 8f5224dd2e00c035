"""The grammar of the command line: each verb's options, help and example."""

import argparse
from collections.abc import Callable
from math import inf
from typing import Any

import edgevae
from edgevae.cli import reporting as commands

EXIT_CODES = """\
exit codes: 0 done; 1 unexpected error; 2 wrong usage; 3 bad bundle; 4 bad input, or an output
that cannot be written; 5 provider that cannot be had; 6 check failed; 10 `score` flagged
something; 130 interrupted; 141 the reader of standard output went away
"""


def parser() -> argparse.ArgumentParser:
    """The parser of every verb: a parsed command line has `command` and `parser`."""
    parser = argparse.ArgumentParser(
        prog="edgevae",
        description="Run a variational autoencoder: numpy, onnxruntime and a C kernel.",
        epilog=f"example: edgevae generate 64 --seed 7 --out samples.png\n\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    version = f"edgevae {edgevae.__version__}"
    parser.add_argument("--version", action="version", version=version, help="show it and exit")
    verbs = parser.add_subparsers(metavar="COMMAND", required=True, title="commands")
    for add in (
        _generate,
        _encode,
        _decode,
        _reconstruct,
        _denoise,
        _interpolate,
        _vary,
        _traverse,
        _map,
        _score,
        _calibrate,
        _info,
        _doctor,
        _verify,
        _bench,
        _tune,
        _compile,
    ):
        add(verbs)
    return parser


def _add(
    verbs: Any, command: Callable[[argparse.Namespace], int], example: str, about: str = ""
) -> argparse.ArgumentParser:
    """A parser whose help ends in an example and the exit codes; `about` adds to the summary."""
    summary = (command.__doc__ or "").strip().rstrip(".")
    parser: argparse.ArgumentParser = verbs.add_parser(
        command.__name__.rstrip("_"),  # which keeps it apart from a built-in one
        help=summary[0].lower() + summary[1:],
        description=f"{summary}. {about}".strip(),
        epilog=f"example: {example}\n\n{EXIT_CODES}",
        formatter_class=_Help,
    )
    parser.set_defaults(command=command, parser=parser)
    parser.add_argument("--json", action="store_true", help="report as JSON")
    return parser


class _Help(argparse.RawDescriptionHelpFormatter):
    """Wraps descriptions, and leaves the example and the table of exit codes as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if text.startswith("example:"):
            return super()._fill_text(text, width, indent)
        return argparse.HelpFormatter._fill_text(self, text, width, indent)


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", default="fashion", metavar="BUNDLE", help="name or folder (fashion)"
    )


def _add_bundle(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model", nargs="?", default="fashion", metavar="BUNDLE", help="name or folder (fashion)"
    )


def _add_provider(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--provider", default="auto", help="auto, cpu, cuda, ...: used or refused, never replaced"
    )


def _add_threads(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--threads", type=_whole(1), metavar="N", help="default: what affinity and quota leave"
    )


def _add_precision(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--precision",
        choices=("float32", "int8", "bf16"),
        default="float32",
        help="int8: where the bundle has it, at the cost that `edgevae info` shows; bf16: where "
        "the provider has it (float32)",
    )


def _add_session(parser: argparse.ArgumentParser) -> None:
    _add_provider(parser)
    _add_threads(parser)
    _add_precision(parser)


def _add_runtime(parser: argparse.ArgumentParser) -> None:
    _add_model(parser)
    _add_session(parser)


def _add_out(parser: argparse.ArgumentParser, text: str) -> None:
    parser.add_argument("--out", metavar="PATH", help=text)


def _add_seed(parser: argparse.ArgumentParser) -> None:
    last = 2**64 - 1
    parser.add_argument(
        "--seed", type=_whole(0, last), metavar="N", help="default: fresh from the system, printed"
    )
    parser.add_argument(
        "--start", type=_whole(0, last), default=0, metavar="N", help="number of the first row (0)"
    )


def _generate(verbs: Any) -> None:
    parser = _add(
        verbs,
        commands.generate,
        "edgevae generate 64 --seed 7 --out samples.png",
        "Row i is a function of seed and i alone: --start 100 continues a run of 100. "
        "A PNG carries the command that makes it again as its text 'edgevae'.",
    )
    parser.add_argument("n", nargs="?", type=_whole(0), default=1, help="rows (1)")
    _add_out(
        parser,
        ".png sheet, folder/ of PNGs, .npy, .npz, .gif, or - for .npy on standard output "
        "(samples.png; samples.npy for vectors); for text .txt, or - for lines (-)",
    )
    _add_seed(parser)
    parser.add_argument(
        "--temperature", type=_number(0), default=1.0, metavar="T", help="scale of the noise (1)"
    )
    _add_labels(parser, "each class in turn")
    parser.add_argument(
        "--dtype",
        choices=("float32", "uint8"),
        help="of arrays: float32 (N,C,H,W) as trained, or uint8 (N,H,W,C) (float32)",
    )
    _add_runtime(parser)


def _encode(verbs: Any) -> None:
    parser = _add(
        verbs,
        commands.encode,
        "edgevae encode photos/ --out latents.npz",
        "The archive holds mu and logvar, the log of the variance, float32 (N, *latent_shape).",
    )
    _add_inputs(parser)
    _add_out(parser, ".npz, or - for standard output (latents.npz)")
    _add_runtime(parser)


def _decode(verbs: Any) -> None:
    parser = _add(
        verbs,
        commands.decode,
        "edgevae decode latents.npz --out sheet.png",
        "Latents are float32 (N, *latent_shape), or with --tile (N, C, H, W) as large as you like: "
        "memory for a few tiles beside the result suffices, where the decoder is convolutional.",
    )
    parser.add_argument(
        "latents", metavar="LATENTS", help=".npz with z or mu, .npy, or - for standard input"
    )
    _add_out(
        parser,
        ".png sheet, folder/ of PNGs, .npy, .npz, .gif, or - for .npy on standard output "
        "(decoded.png; decoded.npy for vectors)",
    )
    parser.add_argument("--tile", action="store_true", help="in tiles of latent_shape")
    _add_labels(parser, "none: a bundle with classes needs them")
    _add_runtime(parser)


def _add_label(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--labels", nargs=1, metavar="CLASS", help="name or number, where the bundle has classes"
    )


def _add_labels(parser: argparse.ArgumentParser, otherwise: str) -> None:
    parser.add_argument(
        "--labels",
        nargs="+",
        metavar="CLASS",
        help=f"names or numbers, one for all rows or one for each ({otherwise})",
    )


def _add_inputs(parser: argparse.ArgumentParser, nargs: str = "+") -> None:
    parser.add_argument(
        "inputs",
        nargs=nargs,
        metavar="INPUT",
        help="images, or one folder of them, one .npy or .npz, or - for standard input; for text: "
        "strings, one .txt of lines, or -",
    )


def _reconstruct(verbs: Any) -> None:
    _add_map(
        verbs, commands.reconstruct, "edgevae reconstruct a.png b.png --compare --out pairs.png"
    )


def _denoise(verbs: Any) -> None:
    _add_map(verbs, commands.denoise, "edgevae denoise - < noisy.png > clean.png")


def _add_map(verbs: Any, command: Callable[[argparse.Namespace], int], example: str) -> None:
    parser = _add(verbs, command, example, "What goes in as one type comes out as the same.")
    _add_inputs(parser)
    _add_out(
        parser,
        ".png sheet, folder/ of PNGs named as the inputs, .npy, .npz, .gif, or - (the inputs' own "
        "form: reconstructed.png, reconstructed/, denoised.npy, ...)",
    )
    parser.add_argument("--compare", action="store_true", help="a sheet of pairs: input, output")
    _add_label(parser)
    _add_runtime(parser)


def _interpolate(verbs: Any) -> None:
    parser = _add(
        verbs,
        commands.interpolate,
        "edgevae interpolate a.png b.png --steps 30 --out walk.gif",
        "Between the latents of two inputs, or without inputs, between rows START and START + 1 "
        "that --seed generates. Both ends are among the steps.",
    )
    _add_inputs(parser, "*")
    parser.add_argument("--steps", type=_whole(2), default=30, metavar="N", help="frames (30)")
    parser.add_argument(
        "--spherical",
        action="store_true",
        help="on the great circle, for a standard normal prior of many dimensions",
    )
    parser.add_argument("--bounce", action="store_true", help="and back again, for a .gif")
    _add_label(parser)
    _add_out(parser, "animated .gif, .png strip, folder/, .npy, .npz, or - (walk.gif)")
    _add_seed(parser)
    _add_runtime(parser)


def _vary(verbs: Any) -> None:
    parser = _add(
        verbs,
        commands.vary,
        "edgevae vary shirt.png -n 12 --strength 2 --out sheet.png",
        "A sheet has a line of variations for each input, or is nearly square for one.",
    )
    _add_inputs(parser)
    parser.add_argument("-n", type=_whole(1), default=12, metavar="N", help="for each input (12)")
    parser.add_argument(
        "--strength",
        type=_number(0),
        default=2.0,
        metavar="S",
        help="0: the reconstruction; 1: draws of the posterior, which look alike; 2 and 3: "
        "clearly different; from 10 on: another item of its kind (2)",
    )
    _add_out(parser, ".png sheet, folder/, .npy, .npz, .gif, or - (varied.png, varied.npy)")
    _add_seed(parser)
    _add_runtime(parser)


def _traverse(verbs: Any) -> None:
    parser = _add(
        verbs,
        commands.traverse,
        "edgevae traverse shirt.png --dim 3 --dim 7 --out sheet.png",
        "A line of the sheet for each dimension, all others as in the input. Without --dim, "
        "those of which the encoder is most certain.",
    )
    parser.add_argument("input", metavar="INPUT", help="an image, .npy or .npz of one item, or -")
    parser.add_argument(
        "--dim", type=_whole(0), action="append", metavar="D", help="from 0; repeatable"
    )
    parser.add_argument(
        "--most", type=_whole(1), default=8, metavar="K", help="dimensions without --dim (8)"
    )
    parser.add_argument("--steps", type=_whole(2), default=9, metavar="N", help="of each (9)")
    parser.add_argument(
        "--span",
        type=_number(0),
        default=2.5,
        metavar="S",
        help="on both sides of the prior's mean, in its standard deviations (2.5)",
    )
    _add_out(parser, ".png sheet, .gif, folder/, .npy, .npz, or - (traversed.png)")
    _add_runtime(parser)


def _score(verbs: Any) -> None:
    parser = _add(
        verbs,
        commands.score,
        "edgevae score readings.csv --model pump --out scores.csv",
        "A line for each item: id, value, the higher the stranger, and by a calibrated bundle a "
        "p-value and whether it is an anomaly; in JSON also the features that add most. Lines on "
        "standard input, CSV, JSON or text, are answered one by one. Ends with 10 where anything "
        "was flagged. Methods: default, recon, elbo, iwae, mahalanobis, nap.",
    )
    parser.add_argument(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help="images, or one folder of them, .npy, .npz, .csv, .jsonl, .parquet, or - for lines "
        "on standard input",
    )
    _add_out(parser, ".csv, .jsonl, or - for standard output: CSV, or with --json JSON (-)")
    parser.add_argument("--method", default="default", metavar="M", help="of scoring (default)")
    parser.add_argument(
        "--alpha", type=_number(0), metavar="A", help="rate of normals to flag (the calibration's)"
    )
    parser.add_argument(
        "--threshold", type=float, metavar="V", help="flag values from here on, calibrated or not"
    )
    parser.add_argument(
        "--heatmaps", metavar="FOLDER", help="also a PNG of each image, its strange pixels glowing"
    )
    _add_draws(parser)
    _add_runtime(parser)


def _calibrate(verbs: Any) -> None:
    parser = _add(
        verbs,
        commands.calibrate,
        "edgevae calibrate pump --data normal.csv --out pump-calibrated",
        "A bundle without statistics of its training items gets them from the first half of the "
        "data. At alpha A it takes 1 / A - 1 items to calibrate. They must be exchangeable with "
        "those to come: steps of a signal are cut into windows that do not overlap, and are best "
        "of many runs.",
    )
    _add_bundle(parser)
    parser.add_argument(
        "--data", required=True, nargs="+", metavar="INPUT", help="normal items, as score reads"
    )
    parser.add_argument("--out", required=True, metavar="BUNDLE", help="folder to write")
    parser.add_argument(
        "--alpha", type=_number(0), default=0.01, metavar="A", help="rate of normals to flag (0.01)"
    )
    parser.add_argument(
        "--method", action="append", metavar="M", help="repeatable (all that are cheap: not iwae)"
    )
    _add_draws(parser)
    _add_session(parser)


def _add_draws(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--draws", type=_whole(1), default=64, metavar="K", help="of iwae, for each item (64)"
    )


def _map(verbs: Any) -> None:
    parser = _add(
        verbs,
        commands.map_,
        "edgevae map test.npz --out map/",
        "scatter.png, prior.png, units.png and, of a latent of two dimensions, manifold.png. An "
        ".npz of x may hold y, labels to colour by. Needs the extra: pip install 'edgevae[plot]'.",
    )
    _add_inputs(parser)
    _add_out(parser, "folder of the pictures (map/)")
    _add_runtime(parser)


def _info(verbs: Any) -> None:
    parser = _add(verbs, commands.info, "edgevae info --json")
    _add_bundle(parser)
    _add_session(parser)


def _doctor(verbs: Any) -> None:
    _add(
        verbs,
        commands.doctor,
        "edgevae doctor --json",
        "Processor and kernel, onnxruntime and what is installed beside it, threads, and whether "
        "the shipped bundles verify on each provider. Ends with 6 unless all is well.",
    )


def _verify(verbs: Any) -> None:
    parser = _add(
        verbs,
        commands.verify,
        "edgevae verify fashion --provider cpu",
        "x -> mu, logvar and z -> x_hat, against the outputs that the bundle carries, and the "
        "stream's latents, against golden ones to the bit.",
    )
    _add_bundle(parser)
    _add_session(parser)


def _bench(verbs: Any) -> None:
    parser = _add(
        verbs,
        commands.bench,
        "edgevae bench --provider cpu --chart bench.png",
        "Cold start, latency, throughput and memory of every available provider, each measured "
        "in fresh processes beside a plain onnxruntime script on the same graph. Compare the "
        "ratios of one run, never figures of two.",
    )
    _add_model(parser)
    parser.add_argument(
        "--provider",
        action="append",
        metavar="P",
        help="repeatable; refused where it cannot be had (every one that can)",
    )
    _add_threads(parser)
    parser.add_argument("--chart", metavar="FILE.png", help="also draw the figures")
    parser.add_argument(
        "--batch", type=_whole(1), action="append", metavar="N", help="repeatable (1, 8, 64)"
    )
    parser.add_argument(
        "--rounds", type=_whole(1), default=3, metavar="N", help="processes each (3)"
    )
    parser.add_argument(
        "--seconds", type=_number(0), default=0.5, metavar="S", help="a batch in a process (0.5)"
    )


def _tune(verbs: Any) -> None:
    parser = _add(
        verbs,
        commands.tune,
        "edgevae tune fashion --dry-run",
        "Sizes of a chunk and of one call are measured in turn, for each graph and precision, and "
        "the best kept in the user's folder of caches, for this bundle on this machine with so "
        "many threads. Leave the machine in peace meanwhile.",
    )
    _add_bundle(parser)
    _add_provider(parser)
    _add_threads(parser)
    parser.add_argument(
        "--precision",
        action="append",
        choices=("float32", "int8"),
        help="repeatable (every one that the bundle has)",
    )
    parser.add_argument(
        "--seconds", type=_number(0), default=6.0, metavar="S", help="for each graph, about (6)"
    )
    parser.add_argument("--dry-run", action="store_true", help="measure, and keep nothing")


def _compile(verbs: Any) -> None:
    parser = _add(
        verbs,
        commands.compile,
        "edgevae compile --decoder d.onnx --encoder e.onnx --range 0 1 --out mine\n"
        "         edgevae compile exported/ --size 256 --out mine",
        "Graphs of any exporter, opset 11 or later, float32. They are rewritten to run faster, "
        "proved to give the same to 1e-5, and written as a bundle. Needs the extra: pip install "
        "'edgevae[compile]'.",
    )
    parser.add_argument(
        "folder",
        nargs="?",
        metavar="FOLDER",
        help="instead of --decoder and --encoder: vae_decoder/model.onnx, vae_encoder/model.onnx "
        "(may be absent) and config.json, as optimum exports a VAE of diffusers; z is the latent "
        "scaled as config.json says, pixels are in [-1, 1] unless the decoder bounds them "
        "otherwise",
    )
    parser.add_argument(
        "--size",
        nargs="+",
        type=_whole(1),
        default=(),
        metavar="N",
        help="height and width of a FOLDER's images, or one number for both (sample_size of its "
        "config.json)",
    )
    parser.add_argument(
        "--scaling-factor",
        type=_number(0),
        metavar="S",
        help="of a FOLDER's latents, where its config.json has no scaling_factor or a wrong one",
    )
    parser.add_argument("--decoder", metavar="D.onnx", help="z -> x_hat")
    parser.add_argument("--encoder", metavar="E.onnx", help="x -> mu, logvar")
    parser.add_argument(
        "--autoencoder",
        action="store_true",
        help="the encoder gives one latent an item, and no distribution: there is no prior to "
        "generate from unless --prior is given",
    )
    parser.add_argument("--out", required=True, metavar="BUNDLE", help="folder to write")
    parser.add_argument("--name", help="of the bundle (that of the folder)")
    parser.add_argument(
        "--kind", choices=("image", "vector", "signal"), help="(by the shape of x_hat)"
    )
    parser.add_argument(
        "--range",
        nargs=2,
        type=float,
        metavar=("LOW", "HIGH"),
        help="of pixels (by the decoder's last operators)",
    )
    parser.add_argument(
        "--prior",
        metavar="P.npz",
        help="a mixture: weights (K,), means (K, D), logvars (K, D) (standard normal)",
    )
    parser.add_argument(
        "--likelihood", choices=("gaussian", "bernoulli"), help="of x given z (gaussian)"
    )
    parser.add_argument("--sigma", type=_number(0), metavar="S", help="of the gaussian (1)")
    parser.add_argument(
        "--noise",
        type=_number(0),
        default=0.0,
        metavar="SIGMA",
        help="largest noise that the encoder was trained under (0)",
    )
    parser.add_argument("--licence", default="not stated", help="of the weights")
    parser.add_argument(
        "--classes",
        nargs="+",
        default=(),
        metavar="NAME",
        help="the names of the numbers that the decoder's second input takes, in their order",
    )
    parser.add_argument("--x-hat", metavar="NAME", help="the decoder's output (by name or order)")
    parser.add_argument(
        "--outputs",
        nargs="+",
        default=(),
        metavar="NAME",
        help="the encoder's mu and logvar, or the one that holds both (by name or order)",
    )
    parser.add_argument(
        "--no-measure", action="store_true", help="choose passes by a model of their cost"
    )
    parser.add_argument(
        "--int8", action="store_true", help="also in int8, for --precision int8: see info's quality"
    )
    parser.add_argument(
        "--calibration",
        metavar="X.npy",
        help="float32 x for the encoder's ranges in int8 (what the decoder makes)",
    )
    parser.add_argument(
        "--force", action="store_true", help="take int8 below 35 dB between 8-bit pixels too"
    )


def _whole(least: int, most: int | None = None) -> Callable[[str], int]:
    """An argument's type: a whole number of at least `least`, at most `most`."""

    def parse(text: str) -> int:
        bound = f"at least {least}" if most is None else f"from {least} to {most}"
        try:
            value = int(text, 0)
        except ValueError:
            value = least - 1
        if value < least or (most is not None and value > most):
            raise argparse.ArgumentTypeError(f"expected a whole number {bound}, got {text!r}")
        return value

    return parse


def _number(least: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = inf
        if not least <= value < inf:
            raise argparse.ArgumentTypeError(f"expected a number from {least:g}, got {text!r}")
        return value

    return parse

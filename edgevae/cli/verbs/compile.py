"""`edgevae compile`: write a bundle of ONNX graphs."""

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from edgevae.cli.options import UsageError, integer, number
from edgevae.cli.reporting import Result, note
from edgevae.cli.verb import Verb
from edgevae.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgevae.compiler import Compiled, Options, Sources

# The options that describe ONNX graphs, which a bundle has described already.
_FOR_GRAPHS = (
    *("size", "scaling_factor", "autoencoder", "name", "kind", "range", "prior", "likelihood"),
    *("sigma", "noise", "licence", "classes", "x_hat", "outputs"),
)


def add_options(parser: ArgumentParser) -> None:
    _add_sources(parser)
    parser.add_argument("--out", required=True, metavar="BUNDLE", help="folder to write")
    parser.add_argument(
        "--replace", action="store_true", help="replace the bundle that --out holds already"
    )
    _add_description(parser)
    _add_ports(parser)
    parser.add_argument(
        "--for",
        dest="targets",
        type=lambda text: text.split(","),
        metavar="TARGET,...",
        help="targets that the graphs are rewritten for: any, x86_64, aarch64, generic; that for "
        "any is always written (default: all)",
    )
    parser.add_argument(
        "--no-measure",
        action="store_true",
        help="choose rewrites by cost models instead of measuring them",
    )
    _add_int8(parser)


def _add_sources(parser: ArgumentParser) -> None:
    parser.add_argument(
        "folder",
        nargs="?",
        metavar="FOLDER",
        help="a bundle, whose graphs are compiled again while everything else in it is kept; or a "
        "VAE of diffusers as optimum exports it, instead of --decoder and --encoder: "
        "vae_decoder/model.onnx, vae_encoder/model.onnx (may be absent) and config.json; z is the "
        "latent scaled as config.json says, pixels are in [-1, 1] unless the decoder bounds them "
        "otherwise",
    )
    parser.add_argument(
        "--size",
        nargs="+",
        type=integer(1),
        default=(),
        metavar="N",
        help="height and width of the images in pixels, or one number for both, for graphs that "
        "take any (default: sample_size of a FOLDER's config.json)",
    )
    parser.add_argument(
        "--scaling-factor",
        type=number(0),
        metavar="S",
        help="scale of a FOLDER's latents, if its config.json has no scaling_factor or a wrong one",
    )
    parser.add_argument("--decoder", metavar="D.onnx", help="graph of z -> x_hat")
    parser.add_argument("--encoder", metavar="E.onnx", help="graph of x -> mu, logvar")
    parser.add_argument(
        "--autoencoder",
        action="store_true",
        help="the encoder gives one latent for each item instead of a distribution; there is no "
        "prior to generate from unless --prior names one",
    )


def _add_description(parser: ArgumentParser) -> None:
    parser.add_argument("--name", help="name of the bundle (default: that of the folder)")
    parser.add_argument(
        "--kind",
        choices=("image", "vector", "signal"),
        help="kind of data (default: inferred from the shape of x_hat)",
    )
    parser.add_argument(
        "--range",
        nargs=2,
        type=number(),
        metavar=("LOW", "HIGH"),
        help="range of pixels (default: inferred from the decoder's last operators)",
    )
    parser.add_argument(
        "--prior",
        metavar="P.npz",
        help="a mixture of normals: weights (K,), means (K, D), logvars (K, D) (default: standard "
        "normal)",
    )
    parser.add_argument(
        "--likelihood",
        choices=("gaussian", "bernoulli"),
        help="distribution of x given z (default: gaussian)",
    )
    parser.add_argument(
        "--sigma",
        type=number(0),
        metavar="S",
        help="standard deviation of the Gaussian (default: 1)",
    )
    parser.add_argument(
        "--noise",
        type=number(0),
        default=0.0,
        metavar="SIGMA",
        help="largest noise that the encoder was trained with (default: 0)",
    )
    parser.add_argument("--licence", help="licence of the weights (default: not stated)")
    parser.add_argument(
        "--classes",
        nargs="+",
        default=(),
        metavar="NAME",
        help="names of the classes, in the order of the numbers that the decoder's second input "
        "takes",
    )


def _add_ports(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--x-hat",
        metavar="NAME",
        help="output of the decoder (default: found by its name or order)",
    )
    parser.add_argument(
        "--outputs",
        nargs="+",
        default=(),
        metavar="NAME",
        help="outputs of the encoder: mu and logvar, or the one that holds both (default: found by "
        "their names or order)",
    )


def _add_int8(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--int8",
        action="store_true",
        help="add int8 graphs, for --precision int8; `edgevae info` shows their quality",
    )
    parser.add_argument(
        "--calibration",
        metavar="X.npy",
        help="float32 x that determine the encoder's activation ranges in int8 (default: items "
        "that the decoder generates)",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="accept int8 graphs below 35 dB between 8-bit pixels",
    )


def run(args: Namespace) -> Result:
    _check_usage(args)
    try:
        from edgevae import compiler
    except ModuleNotFoundError as error:
        raise UsageError(str(error)) from error
    compiler.check_out(args.out, replace=args.replace)
    if args.folder and compiler.is_bundle(args.folder):
        notes, compiled = _recompile(args)
    else:
        notes, compiled = _compile(args)
    for message in notes:
        note(message)
    passes = {role: [row._asdict() for row in rows] for role, rows in compiled.passes.items()}
    gains = {role: [gain._asdict() for gain in each] for role, each in compiled.gains.items()}
    return Result(
        {"out": args.out, "notes": notes, "passes": passes, "gains": gains},
        text=compiler.table(compiled.passes),
        message=f"wrote {args.out}: model {compiled.bundle.name}",
    )


def _recompile(args: Namespace) -> "tuple[list[str], Compiled]":
    """Compile a bundle again; return notes and the result."""
    from edgevae import compiler

    if names := [name for name in _FOR_GRAPHS if getattr(args, name)]:
        raise UsageError(
            f"--{names[0].replace('_', '-')} is for ONNX graphs: {args.folder} is a bundle, which "
            f"keeps its description"
        )
    compiled = compiler.recompile(
        args.folder,
        out=args.out,
        replace=args.replace,
        options=_options(args),
    )
    return compiled.notes, compiled


def _compile(args: Namespace) -> "tuple[list[str], Compiled]":
    """Compile graphs to a bundle; return notes and the result."""
    from edgevae import compiler

    sources = _sources(args)
    compiled = compiler.compile(
        sources.decoder,
        sources.encoder,
        out=args.out,
        replace=args.replace,
        description=compiler.Description(
            name=args.name,
            data=args.kind,
            model="autoencoder" if args.autoencoder else sources.model,
            likelihood=_likelihood(args),
            noise=args.noise,
            classes=tuple(args.classes),
            licence=args.licence or "not stated",
            provenance=sources.provenance,
        ),
        reading=compiler.Reading(
            x_range=tuple(args.range) if args.range else sources.x_range,
            size=() if args.folder else args.size,
            outputs={"decoder": [args.x_hat] if args.x_hat else [], "encoder": args.outputs},
        ),
        prior=args.prior,
        options=_options(args),
    )
    return [*sources.notes, *compiled.notes], compiled


def _check_usage(args: Namespace) -> None:
    """Raise UsageError if options contradict each other."""
    if (args.folder is None) == (args.decoder is None) or (args.folder and args.encoder):
        raise UsageError("expected FOLDER, or --decoder and optionally --encoder")
    if args.folder is None and args.scaling_factor:
        raise UsageError("--scaling-factor is for FOLDER")
    if args.calibration is not None and not args.int8:
        raise UsageError("--calibration is for --int8")
    if args.likelihood == "bernoulli" and args.sigma is not None:
        raise UsageError("--sigma is for --likelihood gaussian; a bernoulli has none")


def _sources(args: Namespace) -> "Sources":
    """Return the graphs that the arguments name."""
    from edgevae import compiler

    if args.folder:
        return compiler.read_folder(args.folder, size=args.size, scaling_factor=args.scaling_factor)
    return compiler.Sources(args.decoder, args.encoder)


def _options(args: Namespace) -> "Options":
    """Return the options that say which graphs are written."""
    from edgevae import compiler

    return compiler.Options(
        targets=args.targets or compiler.TARGETS,
        measure=not args.no_measure,
        int8=compiler.Int8(_calibration(args), args.force) if args.int8 else None,
    )


def _calibration(args: Namespace) -> "NDArray[np.float32] | None":
    """Return the array of --calibration, float32 (N, *x_shape) with N from 2."""
    if args.calibration is None:
        return None
    import numpy as np

    x: NDArray[np.float32] = np.load(args.calibration, allow_pickle=False)
    if x.dtype != np.float32 or len(x) < 2:
        raise InputError(
            f"{args.calibration}: expected float32 (N, *x_shape), N from 2, got {x.dtype} {x.shape}"
        )
    return x


def _likelihood(args: Namespace) -> dict[str, str | float] | None:
    """Return the likelihood that the options describe, None if they describe none."""
    if args.likelihood == "bernoulli":
        return {"name": "bernoulli"}
    if args.sigma is None and args.likelihood is None:
        return None
    return {"name": "gaussian", "sigma": 1.0 if args.sigma is None else args.sigma}


COMPILE = Verb(
    "compile",
    "Make a bundle of ONNX graphs.",
    "edgevae compile --decoder d.onnx --encoder e.onnx --range 0 1 --out mine\n"
    "         edgevae compile exported/ --size 256 --out mine",
    add_options,
    run,
    "The graphs may come from any exporter, in float32; opsets before 11 are converted by onnx. "
    "They are rewritten to run faster, checked to give the same results to 1e-5, and written as a "
    "bundle. This needs the extra `compile`: pip install 'edgevae[compile]'.",
)

"""python -m train fashion | names | --data PATH | export | evaluate | benchmark | anomalies ..."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevae.errors import EdgeVAEError, InputError
from train.data import tables

if TYPE_CHECKING:
    from edgevae.bundle import Bundle
    from train.data.datasets import Data

COMMANDS = (
    "fashion",
    "fashion2d",
    "names",
    "folder",
    "export",
    "evaluate",
    "benchmark",
    "anomalies",
    "denoise",
)

# For teaching: a latent of two dimensions is a map, and an MLP a minute's reading.
FLAT: dict[str, Any] = {
    "latent_dim": 2,
    "architecture": "mlp",
    "widths": [512, 256],
    "epochs": 40,
    "noise": 0.0,
    "components": 64,
}


def main(argv: list[str] | None = None) -> None:
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments and arguments[0] not in (*COMMANDS, "-h", "--help"):
        arguments.insert(0, "folder")  # python -m train --data FOLDER
    options = parser().parse_args(arguments)
    options.run(options)


def parser() -> argparse.ArgumentParser:
    from train.experiments import anomalies
    from train.experiments import likelihood as benchmark
    from train.export import denoising as denoise

    top = argparse.ArgumentParser(prog="python -m train", description=__doc__)
    commands = top.add_subparsers(required=True, metavar="|".join(COMMANDS))
    for source, text in (
        ("fashion", "train on Fashion-MNIST"),
        ("names", "train on surnames, strings"),
        ("folder", "train on --data"),
    ):
        add_training(commands.add_parser(source, help=text), source)
    flat = commands.add_parser("fashion2d", help="on Fashion-MNIST, with a latent to be drawn")
    add_training(flat, "fashion")
    flat.set_defaults(out=Path("runs/fashion2d"), **FLAT)
    add_export(commands.add_parser("export", help="write the bundle of a checkpoint"))
    add_evaluation(commands.add_parser("evaluate", help="judge a bundle on its data set"))
    benchmark.add_arguments(
        commands.add_parser("benchmark", help="log-likelihoods beside published ones")
    )
    anomalies.add_arguments(
        commands.add_parser("anomalies", help="what the scores find, beside published figures")
    )
    denoise.add_arguments(
        commands.add_parser("denoise", help="teach a bundle what its model is worth against noise")
    )
    return top


def whole(least: int, most: int | None = None) -> Callable[[str], int]:
    """Reads a whole number from `least` to `most`."""

    def read(text: str) -> int:
        number = int(text)
        if number < least or (most is not None and number > most):
            span = f"of at least {least}" if most is None else f"from {least} to {most}"
            raise argparse.ArgumentTypeError(f"expected a whole number {span}, got {number}")
        return number

    return read


def add_training(command: argparse.ArgumentParser, source: str) -> None:
    add = command.add_argument
    add(
        "--data",
        type=Path,
        help="a folder of IDX files or images, an .npy or .npz file, a CSV or Parquet table, a "
        "folder of tables (with --kind), or a .txt of lines",
    )
    tables.add_arguments(command)
    add("--size", type=whole(1), help="resize the images of a folder to SIZE x SIZE")
    add("--out", type=Path, default=Path("runs") / source, help="folder of checkpoints and logs")
    add(
        "--architecture",
        choices=("residual", "mlp", "residual_mlp", "gated", "conv1d"),
        help="default: residual for images, mlp for vectors, conv1d for signals",
    )
    add("--autoencoder", action="store_true", help="the baseline: z = mu and no KL")
    add(
        "--conditional",
        action="store_true",
        help="tell the decoder each item's class, so that it generates by label",
    )
    add(
        "--widths",
        type=whole(1),
        nargs="+",
        help="residual: the channels of each resolution, each half the last, so that three widths "
        "halve the image twice; mlp: the units of each layer. Default: to fit the data",
    )
    add("--latent-dim", type=whole(1), default=40)
    add("--likelihood", choices=("gaussian", "bernoulli"), help="(gaussian; text: categorical)")
    add("--epochs", type=whole(1), default=60)
    add("--batch", type=whole(1), default=128, help="items a step, of all processes together")
    add("--learning-rate", type=float, default=2e-3)
    add("--beta", type=float, default=1.0, help="weight of the KL")
    add(
        "--beta-warmup",
        type=whole(0),
        metavar="EPOCHS",
        help="over which that weight rises from 0; a thousand steps if not told. Longer keeps more "
        "latents active",
    )
    add(
        "--draws",
        type=whole(1),
        default=1,
        help="z of each item in a step: more tighten the bound (IWAE), and cost as many decodings",
    )
    add(
        "--noise",
        type=float,
        default=0.5,
        help="largest sigma of the noise to see through, for vectors in standard deviations; or 0",
    )
    add(
        "--prior",
        choices=("fitted", "normal", "free", "vamp"),
        default="fitted",
        help="a mixture that is fitted after training; N(0, I); or a mixture that is learned with "
        "the model: free Gaussians, or the posteriors of pseudo-inputs (VampPrior)",
    )
    add("--components", type=whole(1), default=256, help="Gaussians of the mixture prior")
    add("--binarise", action="store_true", help="draw each pixel anew from Bernoulli(x) each time")
    add(
        "--sharpen",
        type=whole(1),
        nargs="?",
        const=12,
        default=0,
        metavar="EPOCHS",
        help="then fine-tune the decoder against a discriminator, or for text a language model, "
        "for 12 epochs if not told",
    )
    add(
        "--attune",
        type=whole(1),
        nargs="?",
        const=5,
        default=0,
        metavar="EPOCHS",
        help="then fine-tune the encoder of images for the decoder and the prior as they will be "
        "exported, for 5 epochs if not told",
    )
    add("--seed", type=whole(0, 2**20 - 3), default=0)
    add(
        "--resume",
        action="store_true",
        help="go on from OUT/last.pt, with the same options; --epochs alone may change",
    )
    add(
        "--stop-after",
        type=whole(1),
        metavar="EPOCHS",
        help="leave the schedule there; see --resume",
    )
    add("--compile", action="store_true", help="torch.compile the model: a slow start, then faster")
    add("--precision", choices=("32-true", "bf16-mixed"), help="default: the hardware's fastest")
    add("--accelerator", choices=("auto", "cpu", "cuda", "mps"), default="auto")
    add(
        "--devices",
        type=whole(1),
        help="processes, each with a device of its own; default: every GPU, or one for the CPU",
    )
    add("--log", choices=("csv", "tensorboard"), default="csv")
    command.set_defaults(run=train, source=source)
    if source == "names":
        command.set_defaults(
            latent_dim=64, beta=0.5, batch=256, epochs=30, sharpen=2, prior="normal"
        )


def add_export(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("checkpoint", type=Path, nargs="?", help="of python -m train; or none, with --module")
    add("--out", type=Path, required=True, help="the bundle's folder")
    add("--name", help="the bundle's name; the data set's, or the folder's, if not told")
    add("--int8", action="store_true", help="also in int8")
    add(
        "--data",
        type=Path,
        help="what it was trained on: then anomaly scores are fitted to the training part and "
        "calibrated by the part that was held out, and denoising of images learns from it",
    )
    add("--activations", action="store_true", help="also the graph that the score nap needs")
    add = command.add_argument_group(
        "--module", "any other VAE of PyTorch: see train/export/any_module.py for what it must have"
    ).add_argument
    add(
        "--module",
        metavar="PACKAGE.MODULE:FACTORY",
        help="a function that returns a module with encode and decode, such as diffusers', one "
        "with an encoder and a decoder, such as pythae's, or such a pair",
    )
    add("--checkpoint", dest="weights", type=Path, metavar="FILE.pt", help="its state dict")
    add("--x-shape", type=whole(1), nargs="+", default=(), metavar="N", help="without the batch")
    add(
        "--latent-shape",
        type=whole(1),
        nargs="+",
        default=(),
        metavar="N",
        help="needed where encode returns one tensor alone, of mu and logvar or of one latent",
    )
    add(
        "--prior",
        metavar="P.npz|PACKAGE.MODULE:FUNCTION",
        help="a mixture, or a function that returns one, a GaussianMixture of scikit-learn's or a "
        "sampler of pythae's (the standard normal; that of pythae's VAMP)",
    )
    add(
        "--range",
        type=float,
        nargs=2,
        metavar=("LOW", "HIGH"),
        help="of pixels (by the decoder's last operators; -1 1 for diffusers)",
    )
    add("--scaling-factor", type=float, metavar="S", help="of z, instead of the module's config's")
    add("--licence", default="not stated", help="of the weights")
    command.set_defaults(run=export)


def add_evaluation(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("bundle", help="a bundle's folder, or the name of a shipped one")
    add("--data", type=Path, help="the data, if not Fashion-MNIST as installed or names as fetched")
    add("--out", type=Path, help="folder of the report; runs/report-NAME if not told")
    add("--judges", type=Path, default=Path("runs/judges"), help="where the classifiers are kept")
    add("--draws", type=whole(1), default=100, help="K of the IWAE bound")
    add("--iwae-items", type=whole(2), default=1000, help="test items of the IWAE bound")
    add("--precision", choices=("float32", "int8"), default="float32")
    command.set_defaults(run=evaluate)


def train(options: argparse.Namespace) -> None:
    from train.data.datasets import load
    from train.model import checkpoint
    from train.stages.finetune_decoder import check_sharpens
    from train.stages.finetune_encoder import check_attunes
    from train.stages.fit import fabric, fit

    resume = begun(options)
    table = tables.reading(options)
    if table:
        data = tables.load(options.data, **table)
    else:
        data = load(options.source, options.data, options.size, options.seed)
    if options.conditional:
        check_conditional(options, data)
    if options.sharpen:
        check_sharpens(data.kind, not options.autoencoder)
    if options.attune:
        check_attunes(data.kind, not options.autoencoder)
    description = describe(options, data)
    recipe = description["recipe"]
    options.out.mkdir(parents=True, exist_ok=True)
    engine = fabric(
        options.out, options.log, options.precision, options.accelerator, options.devices
    )
    engine.launch()
    engine.seed_everything(options.seed, verbose=False)
    content = fit(
        engine,
        checkpoint.build(description["architecture"]),
        data,
        options.out,
        description=description,
        **recipe,
        resume=resume,
        stop_after=options.stop_after,
        compile_model=options.compile,
    )
    if options.stop_after is None:
        finish(options, engine, content, data)


def check_conditional(options: argparse.Namespace, data: "Data") -> None:
    """InputError where --conditional has no labels, or no later stage that knows them."""
    if not data.classes:
        raise InputError(f"--conditional: expected labelled data, got {data.name!r} without labels")
    for other in ("autoencoder", "sharpen", "attune"):
        if getattr(options, other):
            raise InputError(f"--conditional: expected a VAE of one stage: leave out --{other}")


def begun(options: argparse.Namespace) -> dict[str, Any] | None:
    """The checkpoint to go on from; InputError where one would be lost or is not there."""
    from train.model import checkpoint

    last = options.out / "last.pt"
    if options.resume:
        return checkpoint.read(last)
    if last.exists():
        raise InputError(
            f"expected no checkpoint in {options.out}, found last.pt, which a new run would "
            "replace: give --resume to go on from it, or another --out"
        )
    return None


def describe(options: argparse.Namespace, data: "Data") -> dict[str, Any]:
    """What a checkpoint says of its run: the architecture, the recipe, the data."""
    from train.model.models import default_widths

    usual = {"image": "residual", "vector": "mlp", "signal": "conv1d", "text": "residual_mlp"}
    architecture = options.architecture or usual[data.kind]
    names = ("epochs", "batch", "learning_rate", "beta", "noise", "seed", "binarise")
    return {
        "architecture": {
            "variational": not options.autoencoder,
            "x_shape": list(data.x_shape),
            "latent_dim": options.latent_dim,
            "architecture": architecture,
            "widths": options.widths or default_widths(data.x_shape, architecture),
            "likelihood": "categorical" if data.text else options.likelihood or "gaussian",
            "images": data.kind == "image",
            "prior": options.prior,
            "components": options.components,
            # Absent from other runs, so that those begun before there were classes can resume.
            **({"classes": len(data.classes)} if options.conditional else {}),
        },
        "recipe": {name: getattr(options, name) for name in names}
        | ({"noise": 0.0} if data.text else {})
        # Absent where not asked for, so that runs begun before there were such can resume.
        | ({"beta_warmup": options.beta_warmup} if options.beta_warmup is not None else {})
        | ({"draws": options.draws} if options.draws > 1 else {}),
        "data": data.facts() | {"runs_by": options.runs_by},
        "classes": list(data.classes) if options.conditional else [],
        "samples": data.test[:8].clone(),
    }


def finish(options: argparse.Namespace, engine: Any, content: dict[str, Any], data: "Data") -> None:
    """What follows the first stage, as asked for, each stage from the one before."""
    from train.model import checkpoint
    from train.stages import mixture
    from train.stages.finetune_decoder import sharpen
    from train.stages.finetune_encoder import attune
    from train.stages.finetune_text import spell

    if options.sharpen and data.text:
        spell(
            engine,
            content,
            data,
            options.out,
            epochs=options.sharpen,
            batch=options.batch,
            seed=options.seed,
        )
    if "prior" not in content and not options.autoencoder:
        if engine.is_global_zero:
            model = checkpoint.averaged(content).to(engine.device)
            table = mixture.drawn_from(model, data, options.prior, options.components, options.seed)
            content["prior"] = table and checkpoint.prior_tensors(table)
            content["by_class"] = model.classes > 0 and options.prior == "fitted"
            checkpoint.save(options.out / "last.pt", content)
        content["prior"] = engine.broadcast(content.get("prior"))
    if options.sharpen and not data.text:
        sharpen(
            engine,
            content,
            data,
            options.out,
            epochs=options.sharpen,
            batch=options.batch,
            seed=options.seed,
            compile_model=options.compile,
        )
    if options.attune:
        attune(
            engine,
            content,
            data,
            options.out,
            epochs=options.attune,
            batch=options.batch,
            seed=options.seed,
            compile_model=options.compile,
        )


def export(options: argparse.Namespace) -> None:
    if (options.checkpoint is None) == (options.module is None):
        raise InputError("expected a checkpoint of python -m train, or --module, got both or none")
    if options.module and (options.data or options.activations):
        raise InputError("--data and --activations are for a checkpoint of python -m train")
    written = export_module(options) if options.module else export_checkpoint(options)
    size = sum(file.bytes for file in written.files.values())
    print(f"{written.path}: {written.name}, {size / 1e6:.2f} MB, agrees with PyTorch")
    for variant, quality in written.quality.items():
        print(f"{variant}: " + ", ".join(f"{key} {value:.4g}" for key, value in quality.items()))


def export_checkpoint(options: argparse.Namespace) -> "Bundle":
    from train.export.denoising import teach
    from train.export.export import export as write
    from train.export.scores import fit_scores
    from train.model import checkpoint

    content = checkpoint.read(options.checkpoint)
    written = write(
        content, options.out, options.name, int8=options.int8, activations=options.activations
    )
    if options.data is not None:
        data = training_data(written, options.data)
        written = fit_scores(written, data)
        if not written.calibration:
            print("no p-values: fewer than 99 held-out items; `edgevae calibrate` takes others")
        if written.kind == "image" and written.noise:
            written = teach(written, data.train, written.path)
    return written


def export_module(options: argparse.Namespace) -> "Bundle":
    from train.export import any_module as module

    return module.run(options)


def evaluate(options: argparse.Namespace) -> None:
    from edgevae import bundle
    from train.evaluation.report import evaluate as judge
    from train.evaluation.report import markdown

    found = bundle.find(options.bundle)
    out = options.out or Path("runs") / f"report-{found.resolve().name}"
    trained = bundle.read(found)
    if trained.text:
        from train.evaluation import text_report

        command = f"python -m train evaluate {options.bundle} --out {out}"
        made = text_report.report(found, training_data(trained, options.data), out, command)
        print(text_report.markdown(made))
        return
    report = judge(
        found,
        training_data(trained, options.data),
        out,
        options.judges,
        draws=options.draws,
        iwae_items=options.iwae_items,
        precision=options.precision,
    )
    print(markdown(report))


def training_data(trained: "Bundle", path: Path | None) -> "Data":
    """The data that a bundle was trained on, parted into train and test as they were then."""
    from train.data.datasets import holds_fashion, load

    seed = int(trained.provenance.get("recipe_seed", 0))
    if trained.provenance.get("data") == "names":
        return load("names", path, seed=seed)
    if path is None and trained.provenance.get("data") != "fashion":
        raise InputError(
            f"expected the data that bundle {trained.name!r} was trained on, got none: give --data"
        )
    if trained.features is not None:
        return tables.again(trained, path)
    if holds_fashion(path):
        return load("fashion", path)
    sides = set(trained.x_shape[1:])
    size = sides.pop() if path.is_dir() and len(sides) == 1 else None
    return load("folder", path, size, seed)


if __name__ == "__main__":
    try:
        main()
    except (EdgeVAEError, FileNotFoundError, FloatingPointError) as error:
        sys.exit(f"{type(error).__name__}: {error}")

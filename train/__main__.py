"""python -m train fashion | --data PATH | export CHECKPOINT | evaluate BUNDLE"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .data import Data

COMMANDS = ("fashion", "folder", "export", "evaluate")


def main(argv: list[str] | None = None) -> None:
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments and arguments[0] not in (*COMMANDS, "-h", "--help"):
        arguments.insert(0, "folder")  # python -m train --data FOLDER
    options = parser().parse_args(arguments)
    options.run(options)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m train", description=__doc__)
    commands = top.add_subparsers(required=True, metavar="|".join(COMMANDS))
    for source, text in (("fashion", "train on Fashion-MNIST"), ("folder", "train on --data")):
        add_training(commands.add_parser(source, help=text), source)
    add_export(commands.add_parser("export", help="write the bundle of a checkpoint"))
    add_evaluation(commands.add_parser("evaluate", help="judge a bundle on its data set"))
    return top


def add_training(command: argparse.ArgumentParser, source: str) -> None:
    add = command.add_argument
    add("--data", type=Path, help="a folder of IDX files or images, an .npy or an .npz file")
    add("--size", type=int, help="resize the images of a folder to SIZE x SIZE")
    add("--out", type=Path, default=Path("runs") / source, help="folder of checkpoints and logs")
    add("--architecture", choices=("residual", "mlp"))
    add("--autoencoder", action="store_true", help="the baseline: z = mu and no KL")
    add("--widths", type=int, nargs="+", help="channels a resolution, or units a layer")
    add("--latent-dim", type=int, default=40)
    add("--likelihood", choices=("gaussian", "bernoulli"), default="gaussian")
    add("--epochs", type=int, default=60)
    add("--batch", type=int, default=128)
    add("--learning-rate", type=float, default=2e-3)
    add("--beta", type=float, default=1.0, help="weight of the KL")
    add("--noise", type=float, default=0.5, help="largest sigma of the noise to see through; or 0")
    add("--components", type=int, default=256, help="Gaussians of the mixture prior")
    add(
        "--sharpen",
        type=int,
        nargs="?",
        const=12,
        default=0,
        metavar="EPOCHS",
        help="then fine-tune the decoder against a discriminator, for 12 epochs if not told",
    )
    add("--seed", type=int, default=0)
    add("--resume", action="store_true", help="go on from OUT/last.pt")
    add("--stop-after", type=int, metavar="EPOCHS", help="leave the schedule there; see --resume")
    add("--compile", action="store_true", help="torch.compile the model: a slow start, then faster")
    add("--precision", choices=("32-true", "bf16-mixed"), help="default: the hardware's fastest")
    add("--log", choices=("csv", "tensorboard"), default="csv")
    command.set_defaults(run=train, source=source)


def add_export(command: argparse.ArgumentParser) -> None:
    command.add_argument("checkpoint", type=Path)
    command.add_argument("--out", type=Path, required=True, help="the bundle's folder")
    command.add_argument("--name", help="the bundle's name; the data set's if not told")
    command.set_defaults(run=export)


def add_evaluation(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("bundle", help="a bundle's folder, or the name of a shipped one")
    add("--data", type=Path, help="the data, if they are not Fashion-MNIST as installed")
    add("--out", type=Path, help="folder of the report; runs/report-NAME if not told")
    add("--judges", type=Path, default=Path("runs/judges"), help="where the classifiers are kept")
    add("--draws", type=int, default=100, help="K of the IWAE bound")
    add("--iwae-items", type=int, default=1000, help="test items of the IWAE bound")
    command.set_defaults(run=evaluate)


def train(options: argparse.Namespace) -> None:
    from . import checkpoint
    from .data import load
    from .fit import fabric, fit

    options.out.mkdir(parents=True, exist_ok=True)
    data = load(options.source, options.data, options.size, options.seed)
    images = data.kind == "image"
    architecture = {
        "variational": not options.autoencoder,
        "x_shape": list(data.x_shape),
        "latent_dim": options.latent_dim,
        "architecture": options.architecture or ("residual" if images else "mlp"),
        "widths": options.widths or ([16, 48, 80] if images else [256, 128]),
        "likelihood": options.likelihood,
        "images": images,
    }
    names = ("epochs", "batch", "learning_rate", "beta", "noise", "seed")
    recipe = {name: getattr(options, name) for name in names}
    description = {
        "architecture": architecture,
        "recipe": recipe,
        "data": {"name": data.name, "kind": data.kind, "licence": data.licence},
        "samples": data.test[:8].clone(),
    }
    engine = fabric(options.out, options.log, options.precision)
    engine.launch()
    engine.seed_everything(options.seed, verbose=False)
    content = fit(
        engine,
        checkpoint.build(architecture),
        data,
        options.out,
        description=description,
        **recipe,
        resume=checkpoint.read(options.out / "last.pt") if options.resume else None,
        stop_after=options.stop_after,
        compile_model=options.compile,
    )
    if options.stop_after is None:
        finish(options, engine, content, data)


def finish(options: argparse.Namespace, engine: Any, content: dict[str, Any], data: "Data") -> None:
    """What follows the first stage: the prior, then the sharper decoder where it is asked for."""
    from . import checkpoint, prior
    from .sharpen import sharpen

    if "prior" not in content and not options.autoencoder:
        table = prior.fit_mixture(
            checkpoint.averaged(content), data.train, options.components, options.seed
        )
        content["prior"] = checkpoint.prior_tensors(table)
        checkpoint.save(options.out / "last.pt", content)
    if options.sharpen:
        sharpen(
            engine,
            content,
            data,
            options.out,
            epochs=options.sharpen,
            seed=options.seed,
            compile_model=options.compile,
        )


def export(options: argparse.Namespace) -> None:
    from . import checkpoint
    from .export import export as write

    written = write(checkpoint.read(options.checkpoint), options.out, options.name)
    size = sum(file.bytes for file in written.files.values())
    print(f"{written.path}: {written.name}, {size / 1e6:.2f} MB, agrees with PyTorch")


def evaluate(options: argparse.Namespace) -> None:
    from edgevae import bundle

    from .data import load
    from .evaluate import evaluate as judge
    from .evaluate import markdown

    found = bundle.find(options.bundle)
    source = "fashion" if bundle.read(found).provenance["data"] == "fashion" else "folder"
    out = options.out or Path("runs") / f"report-{found.name}"
    report = judge(
        found,
        load(source, options.data),
        out,
        options.judges,
        draws=options.draws,
        iwae_items=options.iwae_items,
    )
    print(markdown(report))


if __name__ == "__main__":
    main()

"""python -m train fashion | --data PATH | export CHECKPOINT | evaluate BUNDLE"""

import argparse
import sys
from pathlib import Path

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
    add("--seed", type=int, default=0)
    add("--resume", action="store_true", help="go on from OUT/last.pt")
    add("--stop-after", type=int, metavar="EPOCHS", help="leave the schedule there; see --resume")
    add("--compile", action="store_true", help="torch.compile the model: a slow start, then faster")
    add("--precision", choices=("32-true", "bf16-mixed"), help="default: the hardware's fastest")
    add("--log", choices=("csv", "tensorboard"), default="csv")
    command.set_defaults(run=train, source=source)


def train(options: argparse.Namespace) -> None:
    from . import checkpoint
    from .data import load
    from .fit import fabric, fit

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
    recipe = {
        name: getattr(options, name)
        for name in ("epochs", "batch", "learning_rate", "beta", "noise", "seed")
    }
    description = {
        "architecture": architecture,
        "recipe": recipe,
        "data": {"name": data.name, "kind": data.kind, "licence": data.licence},
    }
    options.out.mkdir(parents=True, exist_ok=True)
    engine = fabric(options.out, options.log, options.precision)
    engine.launch()
    engine.seed_everything(options.seed, verbose=False)
    fit(
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


if __name__ == "__main__":
    main()

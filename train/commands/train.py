"""`python -m train fashion | fashion2d | names | --data PATH`: train a model, stage after stage."""

import argparse
from pathlib import Path
from typing import Any

from edgevae.errors import InputError
from train.data import tables
from train.data.dataset import Data
from train.options import integer

FLAT: dict[str, Any] = {
    "latent_dim": 2,
    "architecture": "mlp",
    "widths": [512, 256],
    "epochs": 40,
    "noise": 0.0,
    "components": 64,
}


def add_arguments(command: argparse.ArgumentParser, name: str) -> None:
    source = "fashion" if name == "fashion2d" else name
    add = command.add_argument
    add(
        "--data",
        type=Path,
        help="a folder of IDX files or images, an .npy or .npz file, a CSV or Parquet table, a "
        "folder of tables (with --kind), or a .txt of lines",
    )
    tables.add_arguments(command)
    add("--size", type=integer(1), help="resize the images of a folder to SIZE x SIZE")
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
        type=integer(1),
        nargs="+",
        help="residual: the channels of each resolution, each half the last, so that three widths "
        "halve the image twice; mlp: the units of each layer. Default: to fit the data",
    )
    add("--latent-dim", type=integer(1), default=40)
    add("--likelihood", choices=("gaussian", "bernoulli"), help="(gaussian; text: categorical)")
    add("--epochs", type=integer(1), default=60)
    add("--batch", type=integer(1), default=128, help="items a step, of all processes together")
    add("--learning-rate", type=float, default=2e-3)
    add("--beta", type=float, default=1.0, help="weight of the KL")
    add(
        "--beta-warmup",
        type=integer(0),
        metavar="EPOCHS",
        help="over which that weight rises from 0; a thousand steps if not told. Longer keeps more "
        "latents active",
    )
    add(
        "--draws",
        type=integer(1),
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
    add("--components", type=integer(1), default=256, help="Gaussians of the mixture prior")
    add("--binarise", action="store_true", help="draw each pixel anew from Bernoulli(x) each time")
    add(
        "--sharpen",
        type=integer(1),
        nargs="?",
        const=12,
        default=0,
        metavar="EPOCHS",
        help="then fine-tune the decoder against a discriminator, or for text a language model, "
        "for 12 epochs if not told",
    )
    add(
        "--attune",
        type=integer(1),
        nargs="?",
        const=5,
        default=0,
        metavar="EPOCHS",
        help="then fine-tune the encoder of images for the decoder and the prior as they will be "
        "exported, for 5 epochs if not told",
    )
    add("--seed", type=integer(0, 2**20 - 3), default=0)
    add(
        "--resume",
        action="store_true",
        help="go on from OUT/last.pt, with the same options; --epochs alone may change",
    )
    add(
        "--stop-after",
        type=integer(1),
        metavar="EPOCHS",
        help="leave the schedule there; see --resume",
    )
    add("--compile", action="store_true", help="torch.compile the model: a slow start, then faster")
    add("--precision", choices=("32-true", "bf16-mixed"), help="default: the hardware's fastest")
    add("--accelerator", choices=("auto", "cpu", "cuda", "mps"), default="auto")
    add(
        "--devices",
        type=integer(1),
        help="processes, each with a device of its own; default: every GPU, or one for the CPU",
    )
    add("--log", choices=("csv", "tensorboard"), default="csv")
    command.set_defaults(run=run, source=source)
    if source == "names":
        command.set_defaults(
            latent_dim=64, beta=0.5, batch=256, epochs=30, sharpen=2, prior="normal"
        )
    if name == "fashion2d":
        command.set_defaults(out=Path("runs/fashion2d"), **FLAT)


def run(options: argparse.Namespace) -> None:
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


def check_conditional(options: argparse.Namespace, data: Data) -> None:
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


def describe(options: argparse.Namespace, data: Data) -> dict[str, Any]:
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


def finish(options: argparse.Namespace, engine: Any, content: dict[str, Any], data: Data) -> None:
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

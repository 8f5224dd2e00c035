"""Export a checkpoint to a bundle: ONNX graphs, verified against PyTorch, then compiled."""

import logging
import subprocess
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from edgevae import bundle, compiler, sampling
from edgevae.compiler.graphs import BATCHES, LIMIT, CheckSession
from edgevae.data import Features, Image, Kind, Signal, Text, Vector
from edgevae.errors import CheckError, InputError
from train.data.dataset import as_float
from train.model.checkpoint import Checkpoint
from train.model.models import VAE

DEFAULT_OPTIONS = compiler.Options()


class Encoder(nn.Module):
    """Map x to (mu, logvar): the graph of encoder.onnx."""

    def __init__(self, model: VAE) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.model.encode(x)


class Activations(nn.Module):
    """Map x to h: the graph of activations.onnx."""

    def __init__(self, model: VAE) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model.activations(x)


class Decoder(nn.Module):
    """Map z, and y if the model is conditional, to x_hat: the graph of decoder.onnx."""

    def __init__(self, model: VAE) -> None:
        super().__init__()
        self.model = model

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return self.model.decode(z, y)


def export(
    checkpoint: Checkpoint,
    out: Path,
    name: str | None = None,
    *,
    activations: bool = False,
    options: compiler.Options = DEFAULT_OPTIONS,
) -> bundle.Bundle:
    """Write the bundle of a checkpoint.

    With `activations` the bundle has the graph that the score `nap` needs; `options` are those of
    `compiler.compile`. The bundle of an autoencoder has the standard normal as its prior.

    Raises `InputError` for a VAE without a prior, whose training has not ended, and `CheckError`,
    before anything is written, if onnxruntime and PyTorch differ by more than 1e-5.
    """
    if checkpoint.variational and not checkpoint.has_prior:
        raise InputError(
            "expected a checkpoint with its prior, got one of a run that has not ended: "
            "go on with python -m train ... --resume, then export"
        )
    model = checkpoint.averaged_model()
    graphs = Graphs(model, checkpoint, activations=activations)
    data = checkpoint.data
    compiled = compiler.compile(
        graphs.decoder,
        graphs.encoder,
        out=out,
        replace=True,
        description=compiler.Description(
            name=name or data["name"],
            data=kind(data, model),
            likelihood=likelihood(model),
            noise=checkpoint.recipe.noise,
            classes=tuple(checkpoint.classes),
            by_class=checkpoint.by_class,
            tolerance=10 * LIMIT * max(1.0, graphs.unit.max().item()),
            licence=data["licence"],
            provenance=provenance(checkpoint, model),
        ),
        prior=checkpoint.prior,
        extras=compiler.Extras(
            activations=graphs.activations,
            selfcheck={key: value.numpy() for key, value in graphs.check.items()},
        ),
        options=options,
    )
    return compiled.bundle


class Graphs:
    """The ONNX graphs of a model, verified against PyTorch, and the outputs of a self-check.

    `unit` is the unit of x_hat: 1 for images, the scale and centre of each feature otherwise, as
    float32 errs in proportion to them.
    """

    def __init__(self, model: VAE, checkpoint: Checkpoint, *, activations: bool) -> None:
        x = as_float(checkpoint.samples)
        random = torch.rand(7, *model.x_shape) * model.scale + model.shift
        self.unit = model.scale + model.shift.abs()
        self.encoder = to_onnx(Encoder(model).eval(), {"x": x[:2]}, ("mu", "logvar"))
        verify(self.encoder, Encoder(model), (x, random))

        z = sampling.draw(checkpoint.prior, len(x), model.latent_dim, seed=0)
        latents = {"z": torch.from_numpy(z)}
        classes = len(checkpoint.classes)
        labels = {"y": torch.arange(len(z)) % classes} if classes else {}
        latents |= labels
        examples = {key: value[:2] for key, value in latents.items()}
        self.decoder = to_onnx(Decoder(model).eval(), examples, ("x_hat",))
        normal = torch.randn(7, model.latent_dim)
        verify(self.decoder, Decoder(model), (latents["z"], normal), self.unit, classes)

        with torch.inference_mode():
            mu, logvar = model.encode(x)
            x_hat = model.decode(**latents)
        self.check = {"x": x, "mu": mu, "logvar": logvar, "z": latents["z"], "x_hat": x_hat}
        self.check |= labels
        self.activations = None
        if activations:
            self.activations = to_onnx(Activations(model).eval(), {"x": x[:2]}, ("h",))
            verify(self.activations, Activations(model), (x, random))
            with torch.inference_mode():
                self.check["h"] = model.activations(x)


def to_onnx(graph: nn.Module, examples: Mapping[str, Tensor], output_names: Sequence[str]) -> bytes:
    """Export a module with a dynamic batch and no external data, from example inputs by name."""
    # The exporter warns about every torchvision operator if torchvision is not installed.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    batch = torch.export.Dim("batch")
    with warnings.catch_warnings():  # about the exporter's own code
        warnings.simplefilter("ignore", FutureWarning)
        # z and y of a conditional decoder share their batch axis, as they should.
        warnings.filterwarnings("ignore", "# The axis name: .* will not be used", UserWarning)
        program = torch.onnx.export(
            graph,
            tuple(examples.values()),
            dynamo=True,
            opset_version=compiler.OPSET,
            input_names=list(examples),
            output_names=list(output_names),
            dynamic_shapes=tuple({0: batch} for _ in examples),
            external_data=False,
            verbose=False,
        )
    data: bytes = program.model_proto.SerializeToString()
    return data


def verify(
    graph: bytes,
    module: nn.Module,
    inputs: Sequence[Tensor],
    unit: Tensor | float = 1.0,
    classes: int = 0,
) -> None:
    """Raise `CheckError` unless onnxruntime and PyTorch agree on `inputs` at every batch size.

    They may differ by LIMIT of `unit`, a number or one for each value of an output. A
    conditional module is run with random classes below `classes`.
    """
    unit = np.asarray(unit)
    session = CheckSession(graph, "the exported graph")
    for batch in batches(inputs):
        labels = [torch.randint(classes, (len(batch),))] if classes else []
        with torch.inference_mode():
            expected = module(batch, *labels)
        expected = expected if isinstance(expected, tuple) else (expected,)
        outputs = session.run(batch.numpy(), *(y.numpy() for y in labels))
        for value, output in zip(expected, outputs, strict=True):
            error = float((np.abs(value.numpy() - output) / unit).max())
            if not error <= LIMIT:
                raise CheckError(
                    f"expected the exported {type(module).__name__.lower()} to agree with PyTorch "
                    f"to {LIMIT}, got a difference of {error:.2e} at batch {len(batch)}; "
                    "no bundle was written"
                )


def batches(inputs: Sequence[Tensor]) -> Iterator[Tensor]:
    """Yield each of `inputs` at each batch size to verify, repeating the items of a small one."""
    for items in inputs:
        for rows in BATCHES:
            yield items[torch.arange(rows) % len(items)]


def likelihood(model: VAE) -> dict[str, str | float | list[float]]:
    """Return the likelihood that turns errors into nats; sigma is in x's units, one a feature."""
    if model.likelihood != "gaussian":
        return {"name": model.likelihood}
    sigma = per_feature(model.log_sigma.exp() * model.scale)
    return {"name": "gaussian", "sigma": sigma[0] if model.images else sigma}


def per_feature(values: Tensor) -> list[float]:
    """Return the value of each feature of (C,) or (C, L), which is the same at all steps.

    Each has as few digits as float32 needs.
    """
    firsts = values.detach().reshape(len(values), -1)[:, 0].numpy()
    return [float(str(value)) for value in firsts]


def kind(data: Mapping[str, Any], model: VAE) -> Kind:
    """Return the kind of the data that a checkpoint was trained on, as its `data` describes it."""
    if data["kind"] == "image":
        return Image(model.x_shape)
    if data["kind"] == "text":
        return Text(**data["text"])
    if data["kind"] == "signal":
        return Signal(model.x_shape, features=features(data, model), stride=data.get("stride"))
    return Vector(model.x_shape, features=features(data, model))


def features(data: Mapping[str, Any], model: VAE) -> Features | None:
    """Return the names, scales and medians of vectors' or signals' features, if they are known."""
    if not data.get("names"):
        return None
    impute = data["impute"]
    return Features(
        tuple(data["names"]),
        tuple(per_feature(model.shift)),
        tuple(per_feature(model.scale)),
        None if impute is None else tuple(impute),
    )


def provenance(checkpoint: Checkpoint, model: VAE) -> dict[str, str | float]:
    """Return the facts of a bundle's provenance: data, architecture, steps, recipe, versions."""
    sharpened = checkpoint.finetune_decoder or checkpoint.finetune_text
    attuned = checkpoint.finetune_encoder
    facts: dict[str, str | float] = {
        "data": checkpoint.data["name"],
        "model": "vae" if model.variational else "autoencoder",
        "architecture": checkpoint.architecture["architecture"],
        "parameters": sum(p.numel() for p in model.parameters()),
        "steps": checkpoint.step,
        "sharpen_steps": sharpened.step if sharpened else 0,
        "attune_steps": attuned.step if attuned else 0,
        **{f"recipe_{key}": +value for key, value in checkpoint.recipe.as_dict().items()},
        "torch": torch.__version__.split("+")[0],
        "onnx": onnx.__version__,
    }
    if runs_by := checkpoint.data.get("runs_by"):
        facts["runs_by"] = runs_by
    return facts | ({"commit": commit} if (commit := git_commit()) else {})


def git_commit() -> str | None:
    """Return the commit of the checkout that trains, if it is one."""
    run = subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return run.stdout.strip() or None if run.returncode == 0 else None

"""A checkpoint to a bundle: both graphs in ONNX, proved to compute what PyTorch does, compiled."""

import logging
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from edgevae import bundle, compiler, sampling
from edgevae.compiler.graphs import parity
from edgevae.data import Features, Image, Kind, Signal, Text, Vector
from edgevae.errors import CheckError, InputError
from train.data.dataset import as_float
from train.model import checkpoint
from train.model.models import VAE


class Encoder(nn.Module):
    """x -> (mu, logvar): the graph of encoder.onnx."""

    def __init__(self, model: VAE) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.model.encode(x)


class Activations(nn.Module):
    """x -> h: the graph of activations.onnx."""

    def __init__(self, model: VAE) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model.activations(x)


class Decoder(nn.Module):
    """z, and y where it is conditional -> x_hat: the graph of decoder.onnx."""

    def __init__(self, model: VAE) -> None:
        super().__init__()
        self.model = model

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return self.model.decode(z, y)


def export(
    content: dict[str, Any],
    out: Path,
    name: str | None = None,
    *,
    int8: bool = False,
    activations: bool = False,
) -> bundle.Bundle:
    """Write the bundle of a checkpoint, or raise CheckError and write nothing.

    With `int8` it has that variant too, calibrated on latents of its prior; with `activations` the
    graph that the score `nap` needs.

    An autoencoder's checkpoint has no prior, and its bundle the standard normal; a VAE's lacks
    one only where training stopped before its end.
    """
    model = checkpoint.averaged(content)
    prior = checkpoint.prior(content)
    if "prior" not in content and model.variational:
        raise InputError(
            "expected a checkpoint with its prior, got one of a run that has not ended: "
            "go on with python -m train ... --resume, then export"
        )
    real = as_float(content["samples"])
    z = torch.from_numpy(sampling.draw(prior, len(real), model.latent_dim, seed=0))
    classes = content.get("classes", [])
    y = torch.arange(len(z)) % len(classes) if classes else None
    encoder = to_onnx(Encoder(model).eval(), {"x": real[:2]}, ("mu", "logvar"))
    examples = {"z": z[:2]} if y is None else {"z": z[:2], "y": y[:2]}
    decoder = to_onnx(Decoder(model).eval(), examples, ("x_hat",))
    # 1 for images, whose shift is 0 and scale 1; float32 errs in proportion to vectors' units.
    unit = model.scale + model.shift.abs()
    random = torch.rand(7, *model.x_shape) * model.scale + model.shift
    prove(encoder, Encoder(model), (real, random))
    prove(decoder, Decoder(model), (z, torch.randn(7, model.latent_dim)), unit, len(classes))
    with torch.inference_mode():
        mu, logvar = model.encode(real)
        check = {"x": real, "mu": mu, "logvar": logvar, "z": z, "x_hat": model.decode(z, y)}
        if y is not None:
            check["y"] = y
    hidden = None
    if activations:
        hidden = to_onnx(Activations(model).eval(), {"x": real[:2]}, ("h",))
        prove(hidden, Activations(model), (real, random))
        with torch.inference_mode():
            check["h"] = model.activations(real)
    compiled = compiler.compile(
        decoder,
        encoder,
        out=out,
        name=name or content["data"]["name"],
        data=kind(content["data"], model),
        prior=prior,
        selfcheck={key: value.numpy() for key, value in check.items()},
        likelihood=likelihood(model),
        noise=content["recipe"]["noise"],
        licence=content["data"]["licence"],
        provenance=provenance(content, model),
        tolerance=10 * parity.LIMIT * max(1.0, unit.max().item()),
        int8=int8,
        classes=classes,
        by_class=content.get("by_class", False),
        activations=hidden,
    )
    return compiled.bundle


def to_onnx(graph: nn.Module, examples: Mapping[str, Tensor], output_names: Sequence[str]) -> bytes:
    """A graph with a dynamic batch and no external data; `examples` of its inputs, by name."""
    # It warns of every torchvision operator that it could translate, were torchvision there.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    batch = torch.export.Dim("batch")
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


def prove(
    graph: bytes,
    module: nn.Module,
    inputs: Sequence[Tensor],
    unit: Tensor | float = 1.0,
    classes: int = 0,
) -> None:
    """Raise CheckError unless onnxruntime and PyTorch agree on `inputs` at every batch.

    They may differ by parity.LIMIT of `unit`, a number or one for each value of an output. Where
    there are `classes`, random ones are told.
    """
    unit = np.asarray(unit)
    runner = parity.Runner(graph, "the exported graph")
    for batch in batches(inputs):
        told = [torch.randint(classes, (len(batch),))] if classes else []
        with torch.inference_mode():
            expected = module(batch, *told)
        outputs = runner.run(batch.numpy(), *(y.numpy() for y in told))
        for value, got in zip(
            expected if isinstance(expected, tuple) else (expected,), outputs, strict=True
        ):
            error = float((np.abs(value.numpy() - got) / unit).max())
            if not error <= parity.LIMIT:
                raise CheckError(
                    f"expected the exported {type(module).__name__.lower()} to agree with PyTorch "
                    f"to {parity.LIMIT}, got a difference of {error:.2e} at batch {len(batch)}; "
                    "no bundle was written"
                )


def batches(inputs: Sequence[Tensor]) -> Iterator[Tensor]:
    for items in inputs:
        for rows in parity.BATCHES:
            yield items[torch.arange(rows) % len(items)]  # a small data set's come round again


def likelihood(model: VAE) -> dict[str, str | float | list[float]]:
    """What turns an error into nats; sigma is in x's units, so that vectors have one a feature."""
    if model.likelihood != "gaussian":
        return {"name": model.likelihood}
    sigma = per_feature(model.log_sigma.exp() * model.scale)
    return {"name": "gaussian", "sigma": sigma[0] if model.images else sigma}


def per_feature(values: Tensor) -> list[float]:
    """The first value of each feature of (C,) or (C, L), at which the others are the same.

    In as few digits as float32 needs.
    """
    firsts = values.detach().reshape(len(values), -1)[:, 0].numpy()
    return [float(str(value)) for value in firsts]


def kind(data: dict[str, Any], model: VAE) -> Kind:
    """Return the kind of the data that a checkpoint was trained on, as its `data` describes it."""
    if data["kind"] == "image":
        return Image(model.x_shape)
    if data["kind"] == "text":
        return Text(**data["text"])
    if data["kind"] == "signal":
        return Signal(model.x_shape, features=features(data, model), stride=data.get("stride"))
    return Vector(model.x_shape, features=features(data, model))


def features(data: dict[str, Any], model: VAE) -> Features | None:
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


def provenance(content: dict[str, Any], model: VAE) -> dict[str, str | float]:
    sharp = content.get("sharp", content.get("spelled"))
    facts: dict[str, str | float] = {
        "data": content["data"]["name"],
        "model": "vae" if model.variational else "autoencoder",
        "architecture": content["architecture"]["architecture"],
        "parameters": sum(p.numel() for p in model.parameters()),
        "steps": content["step"],
        "sharpen_steps": sharp["step"] if sharp else 0,
        "attune_steps": content["attuned"]["step"] if "attuned" in content else 0,
        **{f"recipe_{key}": +value for key, value in content["recipe"].items()},  # True is 1
        "torch": torch.__version__.split("+")[0],
        "onnx": onnx.__version__,
    }
    if runs_by := content["data"].get("runs_by"):
        facts["runs_by"] = runs_by
    return facts | ({"commit": commit} if (commit := git_commit()) else {})


def git_commit() -> str | None:
    """The commit of the checkout that trains, where there is one."""
    run = subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return run.stdout.strip() or None if run.returncode == 0 else None

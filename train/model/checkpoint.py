"""A checkpoint: everything a run needs to go on, in one file that is whole or absent."""

import os
import pickle
from pathlib import Path
from typing import Any

import torch

from edgevae.errors import InputError
from edgevae.sampling import MixtureTable
from train.model.models import VAE, Autoencoder


def build(architecture: dict[str, Any]) -> VAE:
    """The model that a checkpoint's `architecture` describes."""
    arguments = dict(architecture)
    return (VAE if arguments.pop("variational") else Autoencoder)(**arguments)


def save(path: Path, content: dict[str, Any]) -> None:
    """Write `content` beside `path`, then rename: a reader never sees half a file."""
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def read(path: Path) -> dict[str, Any]:
    """The content of a checkpoint, on the CPU; no code in it is run."""
    if not path.is_file():
        raise FileNotFoundError(f"expected a checkpoint, found no file {path}")
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise InputError(
            f"expected a checkpoint of `python -m train`, got {path}: {error}"
        ) from None
    return content


def check_same_run(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Raise InputError unless the run that wrote `found` is the one that `wanted` describes.

    The number of epochs may differ: the learning rate then goes on along the other schedule.
    """
    for part in ("architecture", "recipe"):
        for key, value in wanted[part].items():
            begun = found[part].get(key)
            if key != "epochs" and begun != value:
                raise InputError(
                    f"--resume: expected the {part} that the run was begun with, {key} = {begun}, "
                    f"got {value}: give the same options again, or begin anew in another --out"
                )
    if not torch.equal(found["samples"], wanted["samples"]):
        raise InputError(
            f"--resume: expected the data that the run was begun with, {found['data']['name']!r}, "
            f"got others, {wanted['data']['name']!r}: give the same --data and --size, or begin "
            "anew in another --out"
        )


def averaged(content: dict[str, Any]) -> VAE:
    """The model with the averaged weights, those that are exported; after the last stage."""
    model = build(content["architecture"])
    model.load_state_dict(content["ema"])
    if "spelled" in content:
        model.load_state_dict(content["spelled"]["ema"])
    if "sharp" in content:
        model.decoder.load_state_dict(content["sharp"]["ema"])
        model.log_sigma.data.fill_(content["sharp"]["log_sigma"])
    if "attuned" in content:
        model.encoder.load_state_dict(content["attuned"]["ema"])
        model.log_sigma.data.fill_(content["attuned"]["log_sigma"])
    return model.eval()


def prior_tensors(table: MixtureTable) -> list[torch.Tensor]:
    """A mixture as a checkpoint holds it."""
    return [torch.from_numpy(part.copy()) for part in (table.weights, table.means, table.logvars)]


def prior(content: dict[str, Any]) -> MixtureTable | None:
    """The mixture that was fitted after the first stage; None: the standard normal."""
    arrays = content.get("prior")
    return None if arrays is None else MixtureTable(*(array.numpy() for array in arrays))

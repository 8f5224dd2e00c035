"""The file of a checkpoint: its keys, which files of earlier versions have too."""

import dataclasses

import numpy as np
import pytest
import torch

from edgevae.sampling import MixtureTable
from train.model import state_file
from train.model.checkpoint import Checkpoint, StageState
from train.model.models import build
from train.model.recipe import Recipe


@pytest.fixture
def checkpoint():
    torch.manual_seed(0)
    architecture = {"variational": True, "x_shape": [4], "latent_dim": 2, "architecture": "mlp"}
    architecture |= {"widths": [3], "images": False}
    model = build(architecture)
    weights = model.state_dict()
    return Checkpoint(
        architecture,
        Recipe(epochs=3, seed=1),
        {"name": "rows", "kind": "vector", "licence": "MIT"},
        torch.randn(8, 4),
        seconds=2.5,
        fit=StageState(9, {"model": weights, "ema": weights, "optimizer": {"state": {}}}),
        has_prior=True,
        prior=MixtureTable(*(np.ones(shape, np.float32) for shape in (1, (1, 2), (1, 2)))),
        finetune_decoder=StageState(4, {"ema": model.decoder.state_dict()}, log_sigma=-1.5),
    )


def test_the_keys_of_a_file_stay(checkpoint, tmp_path):
    checkpoint.save(tmp_path / "last.pt")
    content = state_file.read(tmp_path / "last.pt")
    assert set(content) == {
        "architecture", "recipe", "data", "classes", "samples", "seconds", "step", "model", "ema",
        "optimizer", "prior", "by_class", "sharp",
    }  # fmt: skip
    assert set(content["sharp"]) == {"ema", "step", "log_sigma"}
    keys = ("epochs", "batch", "learning_rate", "beta", "noise", "seed", "binarise")
    assert tuple(content["recipe"]) == keys


def test_a_checkpoint_is_read_as_it_was_saved(checkpoint, tmp_path):
    checkpoint.save(tmp_path / "last.pt")
    again = Checkpoint.from_file(tmp_path / "last.pt")
    assert (again.recipe, again.step, again.seconds) == (checkpoint.recipe, 9, 2.5)
    assert again.finetune_decoder.log_sigma == -1.5
    assert again.finetune_text is again.finetune_encoder is None
    np.testing.assert_array_equal(again.prior.means, checkpoint.prior.means)
    one, other = (each.averaged_model() for each in (again, checkpoint))
    assert one.log_sigma == -1.5
    assert all(map(torch.equal, one.state_dict().values(), other.state_dict().values()))


def test_a_prior_that_is_not_known_yet_differs_from_the_standard_normal(checkpoint, tmp_path):
    for has_prior in (True, False):
        dataclasses.replace(checkpoint, prior=None, has_prior=has_prior).save(tmp_path / "a.pt")
        again = Checkpoint.from_file(tmp_path / "a.pt")
        assert (again.prior, again.has_prior) == (None, has_prior)


def test_weights_that_are_no_checkpoint_are_refused(tmp_path):
    state_file.write(tmp_path / "weights.pt", {"weight": torch.ones(2)})
    with pytest.raises(ValueError, match=r"got other tensors in .*weights\.pt"):
        Checkpoint.from_file(tmp_path / "weights.pt")


def test_a_recipe_stores_later_settings_only_if_they_are_used():
    recipe = Recipe(epochs=2, draws=5, beta_warmup=1)
    assert {"draws", "beta_warmup"} <= set(recipe.as_dict())
    assert Recipe.from_dict(recipe.as_dict()) == recipe
    assert not {"draws", "beta_warmup"} & set(Recipe(epochs=2).as_dict())


def test_settings_that_were_not_stored_have_their_defaults(checkpoint):
    wanted = dataclasses.replace(checkpoint, recipe=Recipe(epochs=9, seed=1))
    checkpoint.check_same_run(wanted)
    other = dataclasses.replace(checkpoint, recipe=Recipe(epochs=3, seed=1, draws=2))
    with pytest.raises(ValueError, match="draws = 1, got 2"):
        checkpoint.check_same_run(other)

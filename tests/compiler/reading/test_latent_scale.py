import numpy as np
import pytest
from chains import chain

from edgevae.compiler.graphs import CheckSession
from edgevae.compiler.reading import latent_scale
from edgevae.errors import InputError


def test_z_is_the_shifted_and_scaled_latent():
    scale = latent_scale.read({"scaling_factor": 0.5, "shift_factor": 3.0}, "config")
    scale = scale.for_channels(2, "config")
    assert scale.mu.scale.tolist() == [0.5, 0.5]
    own = np.array([1.0, 7.0])
    z = scale.mu.scale * own + scale.mu.shift
    np.testing.assert_allclose(z, [-1.0, 2.0])
    np.testing.assert_allclose(scale.own.scale * z + scale.own.shift, own)
    np.testing.assert_allclose(scale.logvar.shift, 2 * np.log(0.5))
    assert len(scale.parameters.scale) == 4


def test_means_and_deviations_are_by_channel():
    config = {"scaling_factor": 1.0, "latents_mean": [1.0, 2.0], "latents_std": [2.0, 4.0]}
    scale = latent_scale.read(config, "config")
    np.testing.assert_allclose(scale.scale, [0.5, 0.25])
    with pytest.raises(InputError, match="expected latents_std of 3 numbers"):
        scale.for_channels(3, "config")


def test_a_factor_of_the_caller_overrides_the_config():
    assert latent_scale.read({"scaling_factor": 1.0}, "config", 0.25).scale.tolist() == [0.25]


@pytest.mark.parametrize(
    ("config", "match"),
    [
        ({}, "expected scaling_factor, by which .* got none"),
        (
            {"scaling_factor": 1.0, "latents_mean": [0.0]},
            "latents_mean and latents_std, or",
        ),
        (
            {"shift_factor": 1.0, "latents_mean": [1.0], "latents_std": [1.0]},
            "shift_factor or latents_mean, got both",
        ),
        ({"scaling_factor": 0.0}, "above 0, got 0"),
        ({"scaling_factor": "much"}, "expected scaling_factor to be a number"),
    ],
)
def test_a_config_that_says_no_scale_is_refused(config, match):
    with pytest.raises(InputError, match=match):
        latent_scale.read(config, "config")


def test_the_input_of_a_graph_is_mapped():
    model = chain((2, 3, 3), ("Neg", [], {}))
    scale = latent_scale.read({"scaling_factor": 0.5, "shift_factor": 1.0}, "config").for_channels(
        2, ""
    )
    latent_scale.map_input(model, scale.own)
    z = np.ones((1, 2, 3, 3), np.float32)
    np.testing.assert_allclose(CheckSession(model, "test").run(z)[0], -3 * z)

import pytest
import torch

from train.model.models import (
    ARCHITECTURES,
    VAE,
    Autoencoder,
    Residual,
    ResidualLinear,
    default_widths,
)


def tiny(**changes):
    arguments = {"x_shape": (3, 8, 8), "latent_dim": 5, "widths": (4, 6)}
    return VAE(**(arguments | changes))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("batch", [1, 3])
def test_shapes_through_every_architecture(architecture, batch):
    x_shape = (3, 8) if architecture == "conv1d" else (3, 8, 8)
    model, x = tiny(architecture=architecture, x_shape=x_shape), torch.rand(batch, *x_shape)
    mu, logvar = model.encode(x)
    assert mu.shape == logvar.shape == (batch, 5)
    x_hat, kl = model(x)
    assert x_hat.shape == (batch, *x_shape)
    assert kl.shape == (batch,)
    activations = model.activations(x)
    torch.testing.assert_close(activations[:, -5:], mu)
    assert activations.shape[1] > 5 + 4


def test_a_residual_mlp_adds_between_equal_widths_alone():
    model = VAE((6,), 2, architecture="residual_mlp", widths=(9, 9, 7), images=False)
    for half in (model.encoder, model.decoder):
        assert sum(isinstance(layer, ResidualLinear) for layer in half) == 1
    x_hat, _ = model(torch.randn(4, 6))
    assert x_hat.shape == (4, 6)


def test_mlp_of_vectors_with_and_without_hidden_layers():
    for widths in ((), (7,), (9, 7)):
        model = VAE((6,), 2, architecture="mlp", widths=widths, images=False)
        x_hat, _ = model(torch.randn(4, 6))
        assert x_hat.shape == (4, 6)


def test_images_decode_to_the_unit_interval():
    x_hat = tiny().decode(100 * torch.randn(8, 5))
    assert x_hat.min() >= 0
    assert x_hat.max() <= 1


def test_a_residual_block_starts_as_relu():
    x = torch.randn(2, 4, 8, 8)
    block = Residual(4)
    torch.testing.assert_close(block(x), torch.relu(x + block.conv2.bias[:, None, None]))


def test_reparameterize_has_the_posterior_s_moments():
    torch.manual_seed(0)
    mu, logvar = torch.full((200_000, 1), 3.0), torch.full((200_000, 1), -1.0)
    z = tiny().reparameterize(mu, logvar)
    assert z.mean() == pytest.approx(3, abs=0.01)
    assert z.var() == pytest.approx(torch.tensor(-1.0).exp().item(), rel=0.02)


def test_logvar_is_clamped_as_the_kernel_clamps_it():
    model = tiny()
    torch.nn.init.constant_(model.encoder[-1].bias, 1e3)
    assert model.encode(torch.rand(1, 3, 8, 8))[1].max() == 20


def test_vectors_are_standardised_inside_the_model():
    model = VAE((4,), 2, architecture="mlp", widths=(), images=False)
    model.shift.fill_(100)
    model.scale.fill_(7)
    torch.nn.init.zeros_(model.decoder[0].weight)
    torch.nn.init.ones_(model.decoder[0].bias)
    torch.testing.assert_close(model.decode(torch.randn(3, 2)), torch.full((3, 4), 107.0))
    at_mean = model.encode(torch.full((1, 4), 100.0))[0]
    torch.testing.assert_close(at_mean[0], model.encoder[-1].bias[:2])


def test_an_autoencoder_s_latent_is_mu():
    model = Autoencoder((3, 8, 8), 5, widths=(4, 6))
    mu, logvar = model.encode(torch.rand(2, 3, 8, 8))
    assert model.reparameterize(mu, logvar) is mu
    assert (logvar == -30).all()  # on a device that samples, it is mu as well


@pytest.mark.parametrize(
    ("side", "widths"),
    [
        (28, [16, 48, 80]),
        (8, [16]),
        (30, [16, 48]),
        (64, [16, 48, 80, 112]),
        (128, [16, 48, 80, 112, 144]),
    ],
)
def test_default_widths_follow_the_size(side, widths):
    assert default_widths((3, side, side), "residual") == widths
    assert VAE((3, side, side), 2, widths=widths).decode(torch.zeros(1, 2)).shape[2] == side


def test_errors_about_odd_sizes_state_a_fix():
    with pytest.raises(ValueError, match=r"50 x 50, which halve to 25 x 25: .*--size 32"):
        default_widths((1, 50, 50), "residual")


def test_a_vector_has_no_residual_architecture():
    for build in (lambda: VAE((5,), 2), lambda: default_widths((5,), "residual")):
        with pytest.raises(ValueError, match="use --architecture mlp"):
            build()


def test_a_bernoulli_keeps_digits_near_one_that_bf16_would_lose():
    model = tiny(likelihood="bernoulli").eval()
    torch.nn.init.zeros_(model.decoder[-1].weight)
    torch.nn.init.constant_(model.decoder[-1].bias, 7.0)
    with torch.autocast("cpu", torch.bfloat16):
        x_hat = model.decode(torch.zeros(1, 5))
    torch.testing.assert_close(
        1 - x_hat.max(), 1 - torch.sigmoid(torch.tensor(7.0)), rtol=1e-3, atol=0
    )


def test_sizes_that_do_not_halve_are_refused():
    with pytest.raises(ValueError, match=r"divisible by 4 .* got 10 x 8"):
        VAE((1, 10, 8), 2, widths=(4, 4, 4))


def test_bernoulli_needs_the_unit_interval():
    with pytest.raises(ValueError, match="use gaussian"):
        VAE((4,), 2, architecture="mlp", widths=(), images=False, likelihood="bernoulli")

import pytest
import torch
from torch.distributions import Bernoulli, MultivariateNormal, Normal, kl_divergence

from train.model import elbo, prior
from train.model.models import VAE, Autoencoder


def test_kl_is_that_of_torch_distributions():
    mu, logvar = torch.randn(7, 5), torch.randn(7, 5)
    posterior = Normal(mu, (logvar / 2).exp())
    expected = kl_divergence(posterior, Normal(0.0, 1.0)).sum(1)
    torch.testing.assert_close(prior.kl(mu, logvar), expected)


def test_kl_of_the_prior_is_zero():
    assert prior.kl(torch.zeros(2, 3), torch.zeros(2, 3)).tolist() == [0, 0]


def test_gaussian_recon_is_a_density_in_the_data_s_units():
    model = VAE((4,), 2, architecture="mlp", widths=(), images=False)
    model.scale.copy_(torch.tensor([1.0, 2.0, 3.0, 4.0]))
    model.log_sigma.data.fill_(-0.7)
    x, x_hat = torch.randn(6, 4), torch.randn(6, 4)
    sigma = model.scale * model.log_sigma.exp()
    expected = -Normal(x_hat, sigma).log_prob(x).sum(1)
    torch.testing.assert_close(elbo.recon(model, x, x_hat), expected)


def test_bernoulli_recon():
    model = VAE((1, 4, 4), 2, widths=(4, 4), likelihood="bernoulli")
    x = torch.bernoulli(torch.full((6, 1, 4, 4), 0.5))
    x_hat = torch.rand(6, 1, 4, 4).clamp(0.01, 0.99)
    expected = -Bernoulli(x_hat).log_prob(x).flatten(1).sum(1)
    torch.testing.assert_close(elbo.recon(model, x, x_hat), expected)


def test_the_best_sigma_is_the_root_mean_squared_error():
    """The learned sigma of a sigma-VAE: where the gradient of recon by log_sigma is zero."""
    model = VAE((1, 4, 4), 2, widths=(4, 4))
    x, x_hat = torch.rand(8, 1, 4, 4), torch.rand(8, 1, 4, 4)
    model.log_sigma.data.fill_(0.5 * (x - x_hat).square().mean().log())
    elbo.recon(model, x, x_hat).sum().backward()
    assert model.log_sigma.grad.item() == pytest.approx(0, abs=1e-3)


def test_beta_weighs_the_kl_alone():
    model, x = VAE((1, 4, 4), 2, widths=(4, 4)), torch.rand(8, 1, 4, 4)
    torch.manual_seed(0)
    loss, recon, kl = elbo.loss(model, x, x, beta=0.25)
    assert loss.item() == pytest.approx((recon + 0.25 * kl).item())
    assert kl > 0


def test_an_autoencoder_pays_no_kl():
    x = torch.rand(8, 1, 4, 4)
    loss, recon, kl = elbo.loss(Autoencoder((1, 4, 4), 2, widths=(4, 4)), x, x, beta=1)
    assert loss == recon
    assert kl == 0


def test_more_draws_near_the_evidence():
    """-log p(x) of a linear Gaussian, and of a decoder that ignores z the same at any draws."""
    model = VAE((2,), 1, architecture="mlp", widths=[], images=False)
    x = torch.tensor([[0.3, -1.2]]).repeat(4000, 1)
    with torch.no_grad():
        model.decoder[0].weight.copy_(torch.tensor([[1.0], [0.5]]))
        model.decoder[0].bias.zero_()
        model.encoder[1].weight.zero_()  # q is N(0, I): far from the posterior
        model.encoder[1].bias.zero_()
        covariance = torch.eye(2) + torch.tensor([[1.0, 0.5], [0.5, 0.25]])
        evidence = MultivariateNormal(torch.zeros(2), covariance).log_prob(x[0])
        torch.manual_seed(0)
        one, few, many = (elbo.loss(model, x, x, 1.0, draws=k)[0] for k in (1, 5, 200))
        assert one > few > many
        torch.testing.assert_close(many, -evidence, atol=0.01, rtol=0)
        model.decoder[0].weight.zero_()
        blind = elbo.loss(model, x, x, 0.0, draws=1)[0], elbo.loss(model, x, x, 0.0, draws=7)[0]
    torch.testing.assert_close(*blind)

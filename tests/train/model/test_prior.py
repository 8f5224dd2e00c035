import numpy as np
import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from edgevae.sampling import MixtureTable
from train.model import prior
from train.model.models import VAE


def test_log_prob_is_that_of_torch_distributions():
    torch.manual_seed(0)
    log_weights = torch.randn(7).log_softmax(0)
    means, logvars, z = torch.randn(7, 5), torch.randn(7, 5), 2 * torch.randn(11, 5)
    expected = MixtureSameFamily(
        Categorical(logits=log_weights), Independent(Normal(means, (logvars / 2).exp()), 1)
    ).log_prob(z)
    torch.testing.assert_close(prior.log_prob(z, (log_weights, means, logvars)), expected)


@pytest.mark.parametrize("prior", ["free", "vamp"])
def test_every_parameter_of_a_learned_prior_learns(prior):
    model = VAE((1, 4, 4), 2, architecture="mlp", widths=(8,), prior=prior, components=3)
    model.prior.start(torch.rand(9, 1, 4, 4))
    model(torch.rand(5, 1, 4, 4))[1].mean().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.prior.parameters())


def test_vamp_starts_at_items_and_has_their_posteriors():
    x = torch.rand(9, 1, 4, 4)
    model = VAE((1, 4, 4), 2, architecture="mlp", widths=(8,), prior="vamp", components=9)
    model.prior.start(x)
    log_weights, means, _ = model.prior(model.encode)
    assert log_weights.exp().sum() == pytest.approx(1)
    torch.testing.assert_close(means.sum(0), model.encode(x)[0].sum(0))


def test_a_mixture_of_one_standard_normal_costs_what_the_normal_does():
    """The estimate by one z is right on average, and exact where q is p."""
    model = VAE((4,), 2, architecture="mlp", widths=(), images=False, prior="free", components=1)
    model.prior.means.data.zero_()
    mu, logvar = torch.full((200_000, 2), 0.7), torch.full((200_000, 2), -1.0)
    z = model.reparameterize(mu, logvar)
    estimate = model.kl(z, mu, logvar).mean().item()
    assert estimate == pytest.approx(prior.kl(mu[:1], logvar[:1]).item(), abs=0.02)
    zeros = torch.zeros(5, 2)
    torch.testing.assert_close(model.kl(torch.randn(5, 2), zeros, zeros), torch.zeros(5))


def test_a_free_mixture_becomes_one_that_was_fitted():
    rng = np.random.default_rng(0)
    table = MixtureTable(
        *(part.astype(np.float32) for part in (rng.dirichlet([1] * 4), *rng.normal(size=(2, 4, 3))))
    )
    free = prior.Free(4, 3)
    free.copy_from(table)
    z = rng.normal(size=(9, 3)).astype(np.float32)
    expected = table.log_density(z)
    found = prior.log_prob(torch.from_numpy(z), free(None)).detach().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5)

"""Any module can be exported: those of these tests, of diffusers and of pythae."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.mixture import GaussianMixture
from torch import nn

import edgevae
from edgevae import compiler, sampling
from edgevae.errors import InputError
from train.__main__ import main
from train.export import any_module as module
from train.export import any_prior as sampler
from train.export import module_outputs as outputs

CLOSE = 2e-5


class Flat(nn.Module):
    """A VAE of vectors whose encode returns `form` of mu and logvar."""

    def __init__(self, form=lambda mu, logvar: (mu, logvar)):
        super().__init__()
        torch.manual_seed(0)
        self.read, self.write, self.form = nn.Linear(6, 4), nn.Linear(2, 6), form

    def encode(self, x):
        return self.form(*self.read(x).chunk(2, dim=1))

    def decode(self, z):
        return self.write(z)


class Split(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.encoder, self.decoder = nn.Linear(6, 4), nn.Linear(2, 6)


def exported(model, path, **options):
    model = module.module(model)
    unmeasured = compiler.Options(measure=False)
    made = module.export(model, path, options=unmeasured, **options)
    return edgevae.load(made.bundle.path, provider="cpu", threads=1)


@torch.no_grad()
def test_the_bundle_computes_what_the_module_does(tmp_path):
    model = Flat()
    vae = exported(model, tmp_path / "b", x_shape=(6,))
    assert (vae.bundle.model, vae.bundle.prior) == ("vae", "normal")
    x = torch.randn(5, 6)
    mu, logvar = model.encode(x)
    posterior = vae.encode(x.numpy())
    np.testing.assert_allclose(posterior.mu, mu, atol=CLOSE)
    np.testing.assert_allclose(posterior.logvar, logvar, atol=CLOSE)
    np.testing.assert_allclose(vae.decode(posterior.mu), model.decode(mu), atol=CLOSE)
    check = vae.bundle.selfcheck()
    np.testing.assert_allclose(model.decode(torch.from_numpy(check["z"])), check["x_hat"])


def test_posteriors_and_reconstructions_come_in_many_forms():
    mu, logvar = torch.randn(2, 3, 2)
    diffusers = SimpleNamespace(latent_dist=SimpleNamespace(mean=mu, logvar=logvar))
    pythae = SimpleNamespace(embedding=mu, log_covariance=logvar)
    joined = torch.cat([mu, logvar], dim=1)
    for made in ((mu, logvar), joined, (joined,), diffusers, (diffusers,), pythae):
        got = outputs.posterior(made, (2,))
        torch.testing.assert_close(got, (mu, logvar))
    for made in (mu, SimpleNamespace(latents=mu), SimpleNamespace(latent=mu), {"embedding": mu}):
        got, nothing = outputs.posterior(made, (2,))
        assert got is mu
        assert nothing is None
    for made in (mu, (mu,), SimpleNamespace(sample=mu), SimpleNamespace(reconstruction=mu)):
        assert outputs.reconstruction(made) is mu
    with pytest.raises(InputError, match=r"expected decode to return a tensor.*got dict of x"):
        outputs.reconstruction({"x": mu})


def test_one_latent_an_item_is_an_autoencoder_s(tmp_path):
    model = Flat(lambda mu, logvar: mu)
    with pytest.raises(InputError, match=r"encode gives one tensor of \(2,\).*--latent-shape"):
        exported(model, tmp_path / "b", x_shape=(6,))
    vae = exported(model, tmp_path / "b", x_shape=(6,), latent_shape=(2,))
    assert (vae.bundle.model, vae.bundle.prior) == ("autoencoder", "none")
    assert (vae.encode(np.zeros((3, 6), np.float32)).logvar == -30).all()


def test_an_encoder_and_a_decoder_may_be_submodules_or_a_pair():
    split = Split()
    pair = module.module((split.encoder, split.decoder))
    x, z = torch.randn(3, 6), torch.randn(3, 2)
    for model in (split, pair):
        torch.testing.assert_close(outputs.call(model, "encode", x), split.encoder(x))
        torch.testing.assert_close(outputs.call(model, "decode", z), split.decoder(z))
    assert set(pair.state_dict()) == set(split.state_dict())


@pytest.mark.parametrize(
    ("model", "options", "says"),
    [
        (lambda: Flat(), {}, "pass --x-shape"),
        (lambda: nn.Linear(6, 4), {"x_shape": (6,)}, "a method encode, or a submodule encoder"),
        (lambda: Flat(lambda mu, logvar: {"mu": mu}), {"x_shape": (6,)}, "got dict of mu"),
        (lambda: object(), {}, "expected the factory to return a torch.nn.Module"),
        (lambda: Flat(torch.add), {"x_shape": (6,), "latent_shape": (3,)}, "or as much twice over"),
    ],
)
def test_a_module_that_is_no_vae_is_refused(tmp_path, model, options, says):
    with pytest.raises(InputError, match=says):
        exported(model(), tmp_path / "b", **options)
    assert not (tmp_path / "b").exists()


def mixture(kind, rows=200):
    rng = np.random.default_rng(0)
    latents = rng.standard_normal((rows, 2)) @ np.array([[1.0, 0.8], [0.0, 0.6]])
    return GaussianMixture(3, covariance_type=kind, random_state=0).fit(latents)


@pytest.mark.parametrize("kind", ["diag", "spherical"])
def test_a_diagonal_mixture_is_taken_as_it_is(kind):
    fitted = mixture(kind)
    table = sampler.mixture_of(fitted)
    right, _ = fitted.sample(20_000)
    z = sampling.mixture(20_000, table, seed=1)
    np.testing.assert_allclose(z.mean(0), right.mean(0), atol=0.05)
    np.testing.assert_allclose(np.cov(z.T), np.cov(right.T), atol=0.05)


@pytest.mark.parametrize("kind", ["full", "tied"])
def test_correlations_are_not_thrown_away(kind):
    fitted = mixture(kind)
    with pytest.raises(InputError, match=r"correlations of up to 0\.\d+: their variances alone"):
        sampler.mixture_of(fitted)
    turned = fitted.covariances_ * np.eye(2)  # without them they are diagonal, and taken
    fitted.covariances_ = turned
    logvars = sampler.mixture_of(fitted).logvars
    np.testing.assert_allclose(
        np.exp(logvars)[0], np.diagonal(turned, axis1=-2, axis2=-1).reshape(-1, 2)[0], rtol=1e-5
    )


def test_samplers_that_are_no_mixtures_say_why():
    flow = type("MAFSampler", (), {})()
    with pytest.raises(InputError, match="MAFSampler, which draws from a normalizing flow"):
        sampler.mixture_of(flow)
    with pytest.raises(InputError, match=r"expected a prior.*got dict"):
        sampler.mixture_of({})
    with pytest.raises(InputError, match="fit it first"):
        sampler.mixture_of(GaussianMixture())


def test_the_command_takes_a_factory_a_state_dict_and_a_prior(tmp_path, monkeypatch, capsys):
    (tmp_path / "mine.py").write_text(
        "import torch\n"
        "from sklearn.mixture import GaussianMixture\n"
        "def pair():\n"
        "    return torch.nn.Linear(6, 4), torch.nn.Linear(2, 6)\n"
        "def prior():\n"
        "    torch.manual_seed(0)\n"
        "    return GaussianMixture(2, covariance_type='diag').fit(torch.randn(50, 2))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    trained, out = Split(), tmp_path / "bundle"
    torch.save({"model_state_dict": trained.state_dict()}, tmp_path / "w.pt")
    command = ["export", "--module", "mine:pair", "--out", str(out), "--x-shape", "6"]
    command += ["--latent-shape", "2", "--checkpoint", str(tmp_path / "w.pt")]
    main([*command, "--prior", "mine:prior"])
    assert "agrees with PyTorch" in capsys.readouterr().out
    vae = edgevae.load(out)
    assert vae.bundle.components == 2
    assert vae.bundle.provenance["factory"] == "mine:pair"
    with torch.no_grad():
        right = trained.decoder(torch.ones(1, 2))
    np.testing.assert_allclose(vae.decode(np.ones((1, 2), np.float32)), right, atol=CLOSE)
    for wrong, says in (("mine", "PACKAGE.MODULE:FUNCTION"), ("mine:none", "has no attribute")):
        with pytest.raises(InputError, match=says):
            main(["export", "--module", wrong, "--out", str(out)])
    torch.save({"other": torch.zeros(1)}, tmp_path / "w.pt")
    with pytest.raises(InputError, match="expected the weights of this module"):
        main(command)
    with pytest.raises(InputError, match="or --module, got both or none"):
        main(["export", "--out", str(out)])
    sys.modules.pop("mine")


# --- the libraries themselves ----------------------------------------------------------------


@torch.no_grad()
def test_diffusers_autoencoder_kl(tmp_path):
    diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed")
    torch.manual_seed(0)
    model = diffusers.AutoencoderKL(
        block_out_channels=(8, 16),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        layers_per_block=1,
        mid_block_add_attention=False,
        norm_num_groups=4,
        sample_size=16,
        scaling_factor=0.13025,
        latents_mean=[0.1, 0.2, 0.3, 0.4],
        latents_std=[1.0, 2.0, 3.0, 4.0],
    )
    vae = exported(model, tmp_path / "b")
    assert vae.bundle.x_range == (-1, 1)
    mean = torch.tensor(model.config.latents_mean).reshape(4, 1, 1)
    scale = 0.13025 / torch.tensor(model.config.latents_std).reshape(4, 1, 1)
    x, z = 2 * torch.rand(3, 3, 16, 16) - 1, torch.randn(3, 4, 8, 8)
    own, posterior = model.encode(x).latent_dist, vae.encode(x.numpy())
    np.testing.assert_allclose(posterior.mu, (own.mean - mean) * scale, atol=CLOSE)
    np.testing.assert_allclose(posterior.logvar, own.logvar + 2 * scale.log(), atol=CLOSE)
    right = model.decode(z / scale + mean).sample
    np.testing.assert_allclose(vae.decode(z.numpy()), right, atol=5 * CLOSE)


@torch.no_grad()
def test_diffusers_autoencoder_tiny(tmp_path):
    diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed")
    torch.manual_seed(0)
    model = diffusers.AutoencoderTiny(
        encoder_block_out_channels=(8, 8),
        decoder_block_out_channels=(8, 8),
        num_encoder_blocks=(1, 1),
        num_decoder_blocks=(1, 1),
    )
    vae = exported(model, tmp_path / "b", x_shape=(3, 16, 16))
    assert (vae.bundle.model, vae.bundle.prior) == ("autoencoder", "none")
    x = 2 * torch.rand(3, 3, 16, 16) - 1
    right = model.decode(model.encode(x).latents).sample
    np.testing.assert_allclose(vae.reconstruct(x.numpy()), right, atol=CLOSE)


def of_pythae(name, **fields):
    models = pytest.importorskip("pythae.models", reason="pythae is not installed")
    torch.manual_seed(0)
    config = getattr(models, f"{name}Config")(input_dim=(1, 6, 6), latent_dim=3, **fields)
    return getattr(models, name)(config)


@torch.no_grad()
def test_pythae_vae_and_its_gaussian_mixture_sampler(tmp_path):
    model = of_pythae("VAE")
    vae = exported(model, tmp_path / "b")
    assert (vae.bundle.x_shape, vae.bundle.x_range) == ((1, 6, 6), (0, 1))
    x = torch.rand(50, 1, 6, 6)
    x[0, 0, 0, 0] = 1
    encoded = model.encoder(x)
    posterior = vae.encode(x.numpy())
    np.testing.assert_allclose(posterior.mu, encoded.embedding, atol=CLOSE)
    np.testing.assert_allclose(posterior.logvar, encoded.log_covariance, atol=CLOSE)
    np.testing.assert_allclose(
        vae.decode(posterior.mu), model.decoder(encoded.embedding).reconstruction, atol=CLOSE
    )
    from pythae.samplers import GaussianMixtureSampler, GaussianMixtureSamplerConfig, NormalSampler

    fitted = GaussianMixtureSampler(model, GaussianMixtureSamplerConfig(n_components=2))
    fitted.fit(x)
    with pytest.raises(InputError, match="covariance_type 'full' with correlations"):
        sampler.mixture_of(fitted)
    fitted.gmm = GaussianMixture(2, covariance_type="diag").fit(encoded.embedding)
    assert sampler.mixture_of(fitted).components == 2
    assert sampler.mixture_of(NormalSampler(model)) is None


@torch.no_grad()
def test_pythae_vamp_and_its_sampler(tmp_path):
    model = of_pythae("VAMP", number_components=5).eval()
    vae = exported(model, tmp_path / "b")
    assert vae.bundle.components == 5
    z = torch.from_numpy(vae.sample(6, seed=1))
    table = vae.bundle.mixture()
    apart = z.numpy()[:, None] - table.means
    terms = (table.logvars + apart**2 / np.exp(table.logvars)).sum(-1) / -2
    own = np.log(np.exp(terms).sum(1) / 5)
    np.testing.assert_allclose(model._log_p_z(z), own, atol=1e-4)  # but for log 2 pi
    from pythae.samplers import VAMPSampler

    squashed = sampler.mixture_of(VAMPSampler(model))
    np.testing.assert_allclose(squashed.logvars, np.tanh(table.logvars), atol=CLOSE)


def test_pythae_s_autoencoder_and_what_is_no_gaussian(tmp_path):
    model = of_pythae("AE")
    x = torch.rand(2, 1, 6, 6)
    mu, nothing = outputs.posterior(outputs.call(model, "encode", x), ())
    assert mu.shape == (2, 3)
    assert nothing is None
    with pytest.raises(InputError, match="pythae's SVAE: its latents lie on a sphere"):
        exported(of_pythae("SVAE"), tmp_path / "b")

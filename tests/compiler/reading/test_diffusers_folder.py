"""Folders in the layout of optimum's exporter, with modules of these tests and of diffusers."""

import io
import json
import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

import edgevae
from edgevae import cli, compiler
from edgevae.errors import InputError

CONFIG = {"_class_name": "AutoencoderKL", "scaling_factor": 0.2, "latent_channels": 2}
CONFIG |= {"sample_size": 16, "force_upcast": True}
CLOSE = 2e-5


class Own(nn.Module):
    """A VAE of diffusers' conventions in two layers: x (N, 3, 2 h, 2 w), its own z (N, 2, h, w)."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.down = nn.Conv2d(3, 4, 2, stride=2)
        self.up = nn.ConvTranspose2d(2, 3, 2, stride=2)

    def parameters_of(self, sample):
        return self.down(sample)

    def mean_of(self, sample):
        return self.down(sample)[:, :2]

    def drawn(self, sample):
        mean, logvar = torch.chunk(self.down(sample), 2, dim=1)
        return mean + torch.exp(0.5 * logvar.clamp(-30, 20)) * torch.randn_like(mean)

    def squared(self, sample):
        mean, logvar = torch.chunk(self.down(sample), 2, dim=1)
        return mean + logvar.square() * torch.randn_like(mean)

    def decode(self, latent_sample):
        return self.up(latent_sample)


class Call(nn.Module):
    def __init__(self, call):
        super().__init__()
        # Whose weights are then initializers: those of others are constants among the nodes.
        self.model, self.call = getattr(call, "__self__", None), call

    def forward(self, given):
        return self.call(given)


def export(path, call, given, taken, made, free=(0, 2, 3)):
    path.parent.mkdir(parents=True, exist_ok=True)
    axes = {port: {axis: f"{port}_{axis}" for axis in free} for port in (taken, made)}
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that this exporter, which optimum uses, is the old one
        torch.onnx.export(
            Call(call).eval(),
            (given,),
            file,
            dynamo=False,
            opset_version=17,
            input_names=[taken],
            output_names=[made],
            dynamic_axes=axes,
        )
    path.write_bytes(file.getvalue())


def lay_out(root, encode, decode, channels=2, side=8, enlarge=2, config=CONFIG, free=(0, 2, 3)):
    """A folder as `optimum-cli export onnx` lays it out; no encoder where `encode` is None."""
    z, x = torch.randn(2, channels, side, side), torch.randn(2, 3, side * enlarge, side * enlarge)
    export(root / "vae_decoder" / "model.onnx", decode, z, "latent_sample", "sample", free)
    if encode:
        export(root / "vae_encoder" / "model.onnx", encode, x, "sample", "latent_parameters", free)
    (root / "vae_decoder" / "config.json").write_text(json.dumps(config))
    return root


def compiled(root, out, *, prior=None, **options):
    given = compiler.read_folder(root, **options)
    made = compiler.compile(
        given.decoder,
        given.encoder,
        out=out,
        reading=compiler.Reading(given.x_range),
        description=compiler.Description(model=given.model, provenance=given.provenance),
        prior=prior,
        options=compiler.Options(measure=False),
    )
    return edgevae.load(made.bundle.path, provider="cpu", threads=1), [*given.notes, *made.notes]


@pytest.fixture(scope="module")
def own():
    return Own().eval().requires_grad_(False)


@pytest.fixture
def folder(own, tmp_path):
    return lay_out(tmp_path / "exported", own.parameters_of, own.decode)


def pictures(side=16, seed=0):
    return 2 * torch.rand(3, 3, side, side, generator=torch.Generator().manual_seed(seed)) - 1


def edit(root, **fields):
    path = root / "vae_decoder" / "config.json"
    config = json.loads(path.read_text()) | fields
    kept = {key: value for key, value in config.items() if value is not ...}
    path.write_text(json.dumps(kept))


@torch.inference_mode()
def test_the_bundle_s_z_is_the_scaled_latent_of_one_size(own, folder, tmp_path):
    vae, notes = compiled(folder, tmp_path / "b")
    assert (vae.bundle.x_shape, vae.bundle.latent_shape) == ((3, 16, 16), (2, 8, 8))
    assert (vae.bundle.model, vae.bundle.prior, vae.bundle.x_range) == ("vae", "normal", (-1, 1))
    assert vae.bundle.provenance["scaling_factor"] == 0.2
    assert any("float16" in note for note in notes)
    x = pictures()
    mean, logvar = own.parameters_of(x).chunk(2, dim=1)
    posterior = vae.encode(x.numpy())
    np.testing.assert_allclose(posterior.mu, 0.2 * mean, atol=CLOSE)
    np.testing.assert_allclose(posterior.logvar, logvar + 2 * np.log(0.2), atol=CLOSE)
    z = torch.randn(3, 2, 8, 8)
    np.testing.assert_allclose(vae.decode(z.numpy()), own.decode(z / 0.2), atol=CLOSE)
    kinds = [
        node.op_type
        for node in onnx.load(vae.bundle.path / vae.bundle.graph("encoder").file).graph.node
    ]
    assert kinds == ["Conv", "Slice", "Slice"]  # the scale is in its weights


@pytest.mark.parametrize(
    ("fields", "scale", "shift"),
    [
        ({"shift_factor": 0.1}, 0.2, 0.1),
        (
            {"latents_mean": [0.1, -0.3], "latents_std": [2.0, 0.5], "shift_factor": None},
            torch.tensor([0.1, 0.4])[:, None, None],
            torch.tensor([0.1, -0.3])[:, None, None],
        ),
        (
            {"latents_mean": [0.1, -0.3], "latents_std": [2.0, 0.5], "scaling_factor": ...},
            torch.tensor([0.5, 2.0])[:, None, None],
            torch.tensor([0.1, -0.3])[:, None, None],
        ),
    ],
)
@torch.inference_mode()
def test_shifts_and_scales_of_channels_are_folded_in(own, folder, tmp_path, fields, scale, shift):
    edit(folder, **fields)
    vae, _ = compiled(folder, tmp_path / "b", size=[8])
    assert vae.bundle.latent_shape == (2, 4, 4)
    x, z = pictures(8), torch.randn(3, 2, 4, 4)
    mean, logvar = own.parameters_of(x).chunk(2, dim=1)
    posterior = vae.encode(x.numpy())
    np.testing.assert_allclose(posterior.mu, (mean - shift) * scale, atol=CLOSE)
    wider = 2 * torch.log(torch.as_tensor(scale))
    np.testing.assert_allclose(posterior.logvar, logvar + wider, atol=CLOSE)
    np.testing.assert_allclose(vae.decode(z.numpy()), own.decode(z / scale + shift), atol=CLOSE)


@torch.inference_mode()
def test_an_encoder_that_samples_is_cut_where_it_does(own, tmp_path):
    root = lay_out(tmp_path / "e", own.drawn, own.decode)
    vae, notes = compiled(root, tmp_path / "b", size=[16, 8])
    assert vae.bundle.x_shape == (3, 16, 8)
    assert any("drawn in the graph" in note for note in notes)
    x = torch.cat([pictures()[..., :8]])
    mean, logvar = own.parameters_of(x).chunk(2, dim=1)
    posterior = vae.encode(x.numpy())
    np.testing.assert_allclose(posterior.mu, 0.2 * mean, atol=CLOSE)
    np.testing.assert_allclose(posterior.logvar, logvar + 2 * np.log(0.2), atol=CLOSE)


def test_noise_that_is_not_understood_is_refused(own, tmp_path):
    root = lay_out(tmp_path / "e", own.squared, own.decode)
    with pytest.raises(InputError, match="export mu and logvar without sampling"):
        compiled(root, tmp_path / "b")


@torch.inference_mode()
def test_an_encoder_of_single_latents_makes_an_autoencoder(own, tmp_path):
    root = lay_out(tmp_path / "e", own.mean_of, own.decode)
    vae, notes = compiled(root, tmp_path / "b")
    assert (vae.bundle.model, vae.bundle.prior) == ("autoencoder", "none")
    assert any("this is an autoencoder" in note for note in notes)
    x = pictures().numpy()
    posterior = vae.encode(x)
    np.testing.assert_allclose(posterior.mu, 0.2 * own.mean_of(torch.from_numpy(x)), atol=CLOSE)
    assert (posterior.logvar == -30).all()
    np.testing.assert_allclose(posterior.sample(seed=1), posterior.mu, atol=1e-5)
    with pytest.raises(InputError, match="no prior"):
        vae.generate(1)


def test_an_autoencoder_with_a_mixture_generates(own, tmp_path):
    root, mixture = lay_out(tmp_path / "e", own.mean_of, own.decode), tmp_path / "p.npz"
    means = np.ones((2, 128), np.float32)
    np.savez(mixture, weights=np.ones(2, np.float32) / 2, means=means, logvars=0 * means)
    vae, _ = compiled(root, tmp_path / "b", prior=mixture)
    assert (vae.bundle.model, vae.bundle.prior) == ("autoencoder", "mixture")
    assert vae.generate(2, seed=1).shape == (2, 3, 16, 16)


def test_a_decoder_alone_only_decodes_and_an_encoder_alone_is_refused(own, tmp_path):
    root = lay_out(tmp_path / "e", None, own.decode)
    vae, _ = compiled(root, tmp_path / "b")
    assert vae.bundle.roles == ("decoder",)
    (root / "vae_decoder").rename(root / "vae_encoder")
    with pytest.raises(InputError, match="encoder alone makes no bundle"):
        compiler.read_folder(root)


def test_sizes_of_an_export_without_free_ones_are_its_own(own, tmp_path):
    root = lay_out(tmp_path / "e", own.parameters_of, own.decode, free=(0,))
    assert compiled(root, tmp_path / "b")[0].bundle.x_shape == (3, 16, 16)
    with pytest.raises(InputError, match=r"exported for \(16, 16\) alone"):
        compiler.read_folder(root, size=[32])


def test_channels_that_are_free_too_are_those_of_the_config(own, tmp_path):
    """The script of diffusers exports such graphs."""
    root = lay_out(tmp_path / "e", own.parameters_of, own.decode, free=(0, 1, 2, 3))
    assert compiled(root, tmp_path / "b")[0].bundle.latent_shape == (2, 8, 8)
    edit(root, latent_channels=...)
    with pytest.raises(InputError, match="expected latent_channels"):
        compiler.read_folder(root)


def test_a_decoder_that_bounds_its_pixels_says_their_range(own, tmp_path):
    root = lay_out(tmp_path / "e", None, lambda z: torch.sigmoid(own.decode(z)))
    assert compiled(root, tmp_path / "b")[0].bundle.x_range == (0, 1)


def test_weights_beside_the_graph_are_read(folder, tmp_path):
    path = folder / "vae_decoder" / "model.onnx"
    model = onnx.load(path)
    onnx.save_model(
        model, path, save_as_external_data=True, location="model.onnx_data", size_threshold=0
    )
    assert (path.parent / "model.onnx_data").stat().st_size > 0
    vae, _ = compiled(folder, tmp_path / "b")
    assert sorted(file.name for file in vae.bundle.path.iterdir())[0] == "decoder.onnx"


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"scaling_factor": ...}, "expected scaling_factor.*pass --scaling-factor 0.18215"),
        ({"scaling_factor": 0}, "scaling_factor and latents_std above 0"),
        ({"scaling_factor": "big"}, "expected scaling_factor to be a number"),
        ({"latents_mean": [0.1, 0.2]}, "latents_mean and latents_std, or neither"),
        ({"latents_mean": [0.1] * 3, "latents_std": [1.0] * 3}, "of 2 numbers, one for each"),
        (
            {"latents_mean": [0, 0.1], "latents_std": [1, 1], "shift_factor": 1.0},
            "expected shift_factor or latents_mean, got both",
        ),
        ({"sample_size": ...}, "expected a size.*pass --size 256"),
        ({"sample_size": 15}, "a multiple of 2, by which the decoder enlarges.*--size 1[46]"),
    ],
)
def test_values_missing_from_a_config_are_not_guessed(folder, fields, says):
    edit(folder, **fields)
    with pytest.raises(InputError, match=says):
        compiler.read_folder(folder)


def test_configs_must_not_contradict(folder):
    path = folder / "config.json"
    path.write_text(json.dumps({"scaling_factor": 0.3, "model_type": "any"}))
    with pytest.raises(InputError, match=r"expected scaling_factor 0\.2 as in .*got 0\.3"):
        compiler.read_folder(folder)
    path.write_text("{")
    with pytest.raises(InputError, match="expected JSON"):
        compiler.read_folder(folder)


def test_float16_is_refused(tmp_path):
    root = lay_out(tmp_path / "e", None, lambda z: nn.functional.interpolate(z, scale_factor=2.0))
    path = root / "vae_decoder" / "model.onnx"
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    model.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    onnx.save(model, path)
    with pytest.raises(InputError, match="overflow to black images; export with --dtype fp32"):
        compiler.read_folder(root)


def test_the_command_line_takes_a_folder_and_a_missing_scale(folder, tmp_path, capsys):
    edit(folder, scaling_factor=...)
    command = ["compile", str(folder), "--out", str(tmp_path / "b"), "--no-measure"]
    assert cli.main(command) == 4
    assert "--scaling-factor" in capsys.readouterr().err
    command += ["--scaling-factor", "0.5", "--size", "8", "--range", "0", "1"]
    assert cli.main(command) == 0
    made = edgevae.load(tmp_path / "b").bundle
    assert (made.x_shape, made.x_range) == ((3, 8, 8), (0, 1))
    assert made.provenance["scaling_factor"] == 0.5


@pytest.mark.parametrize(
    "wrong", [[], ["--decoder", "d.onnx", "--scaling-factor", "1"], ["e", "--decoder", "d"]]
)
def test_the_command_line_takes_a_folder_or_graphs(wrong):
    with pytest.raises(SystemExit) as stop:
        cli.main(["compile", *wrong, "--out", "b"])
    assert stop.value.code == 2


# --- diffusers itself ------------------------------------------------------------------------


def test_diffusers_autoencoder_kl(tmp_path):
    diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed")
    torch.manual_seed(0)
    model = diffusers.AutoencoderKL(
        block_out_channels=(8, 16),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        layers_per_block=1,
        norm_num_groups=4,
        sample_size=32,
        scaling_factor=0.18215,
        shift_factor=0.1159,
    ).eval()
    model.requires_grad_(False)  # the tracer takes weights for constants
    vae, _ = compiled(of_diffusers(tmp_path, model, "latent_dist", 4), tmp_path / "b", size=[16])
    assert (vae.bundle.model, vae.bundle.latent_shape) == ("vae", (4, 8, 8))
    x, z = pictures(), torch.randn(3, 4, 8, 8)
    with torch.inference_mode():
        own = model.encode(x).latent_dist
        posterior = vae.encode(x.numpy())
        np.testing.assert_allclose(posterior.mu, (own.mean - 0.1159) * 0.18215, atol=CLOSE)
        np.testing.assert_allclose(posterior.logvar, own.logvar + 2 * np.log(0.18215), atol=CLOSE)
        right = model.decode(z / 0.18215 + 0.1159).sample
        np.testing.assert_allclose(vae.decode(z.numpy()), right, atol=CLOSE)


def test_diffusers_autoencoder_tiny(tmp_path):
    diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed")
    torch.manual_seed(0)
    model = diffusers.AutoencoderTiny(
        encoder_block_out_channels=(8, 8),
        decoder_block_out_channels=(8, 8),
        num_encoder_blocks=(1, 1),
        num_decoder_blocks=(1, 1),
    ).eval()
    model.requires_grad_(False)  # the tracer takes weights for constants
    vae, _ = compiled(of_diffusers(tmp_path, model, "latents", 4), tmp_path / "b", size=[16])
    assert (vae.bundle.model, vae.bundle.prior) == ("autoencoder", "none")
    assert vae.bundle.x_range == (-1, 1)
    x, z = pictures(), torch.randn(3, 4, 8, 8)
    with torch.inference_mode():
        posterior = vae.encode(x.numpy())
        np.testing.assert_allclose(posterior.mu, model.encode(x).latents, atol=CLOSE)
        np.testing.assert_allclose(vae.decode(z.numpy()), model.decode(z).sample, atol=CLOSE)
        right = model.decode(model.encode(x).latents).sample
        np.testing.assert_allclose(vae.reconstruct(x.numpy()), right, atol=CLOSE)


def of_diffusers(tmp_path: Path, model, posterior: str, channels: int) -> Path:
    """Export a VAE of diffusers as optimum does, with the config that diffusers writes."""

    def encode(sample):
        encoded = getattr(model.encode(sample), posterior)
        return getattr(encoded, "parameters", encoded)

    config = json.loads(model.to_json_string())
    return lay_out(
        tmp_path / "e", encode, lambda z: model.decode(z).sample, channels, config=config
    )

"""The models and their architectures; conv1d.py has the architecture of signals.

Kingma and Welling, "Auto-Encoding Variational Bayes" (2014): an encoder returns mu and
logvar, z = mu + exp(logvar / 2) * eps, and a decoder returns x_hat.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from edgevae.errors import InputError
from edgevae.sampling import MAX_LOGVAR, MIN_LOGVAR
from train.data.scaling import LIMIT
from train.model import conv1d
from train.model.prior import Free, Vamp, gaussian_log_prob, kl, log_prob

EMBEDDED = 16  # dimensions of the embedding of a class


class Residual(nn.Module):
    """A residual block: relu(x + conv(relu(conv(x)))).

    The second convolution starts at zero, which replaces normalisation. The relu follows the sum
    because runtimes fuse the two.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.conv2(torch.relu(self.conv1(x))))


def default_widths(x_shape: Sequence[int], architecture: str) -> list[int]:
    """Return the widths for items of `x_shape`; for (1, 28, 28) and "residual" 16, 48, 80.

    Images are halved down to 8 pixels a side, or an odd number; each resolution has 32 channels
    more than the one before. A linear layer follows, so that more than 16 pixels a side raise
    `InputError`.
    """
    if architecture == "mlp":
        return [256, 128]
    if architecture == "residual_mlp":
        return [384, 384]
    if architecture == "conv1d":
        return conv1d.default_widths(conv1d.signal_shape(x_shape)[1])
    sides = list(image_shape(x_shape)[1:])
    widths = [16]
    while max(sides) > 8 and not any(side % 2 for side in sides):
        sides = [side // 2 for side in sides]
        widths.append(widths[-1] + 32)
    if max(sides) > 16:
        raise InputError(
            f"expected images that halve to 16 pixels a side or fewer, got {x_shape[1]} x "
            f"{x_shape[2]}, which halve to {sides[0]} x {sides[1]}: resize them (--size 32, 64 or "
            "128 for a folder of images), or choose --widths or --architecture mlp"
        )
    return widths


def image_shape(x_shape: Sequence[int]) -> tuple[int, int, int]:
    """Return `x_shape` as (C, H, W); raise `InputError` if it is not that of an image."""
    if len(x_shape) != 3:
        raise InputError(
            f"expected images (C, H, W) for architecture residual, got items of shape "
            f"{tuple(x_shape)}: use --architecture mlp"
        )
    channels, height, width = x_shape
    return channels, height, width


def residual_conv(
    x_shape: Sequence[int], latent_dim: int, widths: Sequence[int]
) -> tuple[nn.Module, nn.Module]:
    """Return the encoder and decoder of images (C, H, W), with one width for each resolution.

    Each resolution is half the one before: H and W must be divisible by 2 ** (len(widths) - 1).
    """
    channels, height, width = image_shape(x_shape)
    halvings = len(widths) - 1
    if height % 2**halvings or width % 2**halvings:
        raise InputError(
            f"expected a height and width divisible by {2**halvings} for widths {tuple(widths)}, "
            f"got {height} x {width}: pass fewer --widths (their count less one is the number of "
            f"halvings), or resize the images (--size for a folder of them)"
        )
    small = (widths[-1], height >> halvings, width >> halvings)
    pixels = small[1] * small[2]
    pairs = list(itertools.pairwise(widths))
    squeezed = 16  # channels before the encoder's linear layer, which would hold most weights else

    encoder: list[nn.Module] = [nn.Conv2d(channels, widths[0], 3, padding=1), nn.ReLU()]
    for wide, narrow in pairs:
        encoder += [nn.Conv2d(wide, narrow, 4, 2, 1), nn.ReLU(), Residual(narrow)]
    encoder += [nn.Conv2d(widths[-1], squeezed, 1), nn.ReLU(), nn.Flatten()]
    encoder += [nn.Linear(squeezed * pixels, 2 * latent_dim)]

    decoder: list[nn.Module] = [nn.Linear(latent_dim, widths[-1] * pixels), nn.ReLU()]
    decoder += [nn.Unflatten(1, small), Residual(widths[-1])]
    for wide, narrow in reversed(pairs):
        decoder += [nn.ConvTranspose2d(narrow, wide, 4, 2, 1), nn.ReLU(), Residual(wide)]
    decoder += [nn.Conv2d(widths[0], channels, 3, padding=1)]
    return nn.Sequential(*encoder), nn.Sequential(*decoder)


def mlp(
    x_shape: Sequence[int], latent_dim: int, widths: Sequence[int]
) -> tuple[nn.Module, nn.Module]:
    """Return the encoder and decoder of flattened items, with a layer of each of the widths."""
    size = int(torch.Size(x_shape).numel())
    sizes = [size, *widths]
    encoder: list[nn.Module] = [nn.Flatten()]
    for wide, narrow in zip(sizes, widths, strict=False):
        encoder += [nn.Linear(wide, narrow), nn.ReLU()]
    encoder += [nn.Linear(sizes[-1], 2 * latent_dim)]

    decoder: list[nn.Module] = []
    for narrow, wide in zip([latent_dim, *reversed(widths)], reversed(widths), strict=False):
        decoder += [nn.Linear(narrow, wide), nn.ReLU()]
    decoder += [nn.Linear(sizes[min(1, len(widths))] if widths else latent_dim, size)]
    decoder += [nn.Unflatten(1, tuple(x_shape))]
    return nn.Sequential(*encoder), nn.Sequential(*decoder)


class Gated(nn.Module):
    """A gated linear layer: h(x) * sigmoid(g(x)) (Dauphin et al. 2017)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.h = nn.Linear(inputs, outputs)
        self.g = nn.Linear(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.h(x) * torch.sigmoid(self.g(x))


def gated_mlp(
    x_shape: Sequence[int], latent_dim: int, widths: Sequence[int]
) -> tuple[nn.Module, nn.Module]:
    """Return the networks of `mlp` with gated layers, as Tomczak and Welling (2018) have them."""
    size = int(torch.Size(x_shape).numel())
    down, up = [size, *widths], [latent_dim, *reversed(widths)]
    encoder = [nn.Flatten(), *itertools.starmap(Gated, itertools.pairwise(down))]
    decoder = [*itertools.starmap(Gated, itertools.pairwise(up)), nn.Linear(up[-1], size)]
    return (
        nn.Sequential(*encoder, nn.Linear(down[-1], 2 * latent_dim)),
        nn.Sequential(*decoder, nn.Unflatten(1, tuple(x_shape))),
    )


class ResidualLinear(nn.Module):
    """A residual layer: x + relu(linear(x))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.relu(self.linear(x))


def residual_mlp(
    x_shape: Sequence[int], latent_dim: int, widths: Sequence[int]
) -> tuple[nn.Module, nn.Module]:
    """Return the networks of `mlp` with residual layers between equal widths.

    On text they keep twice as many latents active, and reconstruct more strings exactly.
    """
    size = int(torch.Size(x_shape).numel())

    def layers(inputs: int, widths: Sequence[int], outputs: int) -> list[nn.Module]:
        stack: list[nn.Module] = [nn.Linear(inputs, widths[0]), nn.ReLU()]
        for before, after in itertools.pairwise(widths):
            same = before == after
            stack += [ResidualLinear(after)] if same else [nn.Linear(before, after), nn.ReLU()]
        return [*stack, nn.Linear(widths[-1], outputs)]

    encoder = [nn.Flatten(), *layers(size, widths, 2 * latent_dim)]
    decoder = [*layers(latent_dim, widths[::-1], size), nn.Unflatten(1, tuple(x_shape))]
    return nn.Sequential(*encoder), nn.Sequential(*decoder)


ARCHITECTURES = {
    "residual": residual_conv,
    "mlp": mlp,
    "residual_mlp": residual_mlp,
    "gated": gated_mlp,
    "conv1d": conv1d.conv1d,
}


class VAE(nn.Module):
    """A variational autoencoder of items of `x_shape`.

    encode(x) returns mu and logvar (N, latent_dim), decode(z) returns x_hat (N, *x_shape). With
    `images` x lies in [0, 1], and the decoder ends in a sigmoid. Other data are standardised inside
    the model by `shift` and `scale` (of x_shape), so that x and x_hat keep their units; the
    standardised input is bounded, so that an extreme value does not outweigh all others.
    `likelihood` is "gaussian", with one learned sigma (Rybkin et al. 2021, "Simple and effective
    VAE training with calibrated decoders"), "bernoulli" (x in [0, 1]), or "categorical" (x one-hot
    over the last axis, x_hat probabilities).

    `prior` is the prior of the KL and of generation: "normal", N(0, I); "free" or "vamp", a mixture
    of `components` that is learned with the model (prior.py); or "fitted", N(0, I) for the KL and
    for generation a mixture that is fitted after training (stages/mixture.py).

    With `classes` the VAE is conditional (Sohn et al. 2015, "Learning structured output
    representation using deep conditional generative models"): decode(z, y) takes the class y, int64
    (N,). The encoder does not: information on the class in z costs nats and y provides it for free,
    and an encoder without y applies to items without labels.
    """

    variational = True

    def __init__(
        self,
        x_shape: Sequence[int],
        latent_dim: int = 40,
        *,
        architecture: str = "residual",
        widths: Sequence[int] = (16, 48, 80),
        likelihood: str = "gaussian",
        images: bool = True,
        prior: str = "fitted",
        components: int = 0,
        classes: int = 0,
    ) -> None:
        super().__init__()
        if likelihood == "bernoulli" and not images:
            raise InputError("expected data in [0, 1] for likelihood bernoulli: use gaussian")
        self.x_shape, self.latent_dim = tuple(x_shape), latent_dim
        self.likelihood, self.images = likelihood, images
        self.standardises = not images and likelihood == "gaussian"
        self.encoder, self.decoder = ARCHITECTURES[architecture](x_shape, latent_dim, widths)
        self.classes = classes
        if classes:
            inputs = latent_dim + EMBEDDED
            _, self.decoder = ARCHITECTURES[architecture](x_shape, inputs, widths)
            self.embedding = nn.Embedding(classes, EMBEDDED)
        self.prior = None
        if prior == "free":
            self.prior = Free(components, latent_dim)
        elif prior == "vamp":
            self.prior = Vamp(components, self.x_shape)
        self.log_sigma = nn.Parameter(torch.zeros(()), requires_grad=likelihood == "gaussian")
        self.register_buffer("shift", torch.zeros(self.x_shape))
        self.register_buffer("scale", torch.ones(self.x_shape))

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mu and logvar, each (N, latent_dim), of items x (N, *x_shape)."""
        mu, logvar = self.encoder(self.standardised(x)).chunk(2, dim=1)
        return mu, logvar.clamp(MIN_LOGVAR, MAX_LOGVAR)

    def standardised(self, x: Tensor) -> Tensor:
        """Return the input of the encoder's layers: x, for data other than images standardised."""
        return x if not self.standardises else ((x - self.shift) / self.scale).clamp(-LIMIT, LIMIT)

    def activations(self, x: Tensor) -> Tensor:
        """Return the activations of each hidden layer of the encoder, and mu last: (N, H).

        Those of a convolution are the means of its channels over pixels or steps. RaPP (Kim et al.
        2020) compares the activations of x and x_hat.
        """
        y, hidden = self.standardised(x), []
        for layer in self.encoder:
            y = layer(y)
            if isinstance(layer, (nn.ReLU, Residual, ResidualLinear, Gated)):
                hidden.append(y.flatten(2).mean(2) if y.ndim > 2 else y)
        return torch.cat([*hidden, y.chunk(2, dim=1)[0]], dim=1)

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """Return x_hat (N, *x_shape) of latents z (N, latent_dim), and of classes y (N,) if any."""
        if y is not None:
            z = torch.cat([z, self.embedding(y)], dim=1)
        logits = self.decoder(z)
        if self.likelihood == "categorical":
            return torch.softmax(logits.float(), dim=-1)
        if not self.images:
            return logits * self.scale + self.shift
        # bf16 is too coarse near 1 for the logarithms of a Bernoulli.
        return torch.sigmoid(logits.float() if self.likelihood == "bernoulli" else logits)

    def reparameterize(self, mu: Tensor, logvar: Tensor) -> Tensor:
        """Return a draw z = mu + exp(logvar / 2) * eps of each posterior (N, latent_dim)."""
        return mu + torch.exp(logvar / 2) * torch.randn_like(mu)

    def kl(self, z: Tensor, mu: Tensor, logvar: Tensor, by_z: bool = False) -> Tensor:
        """Return KL(q(z|x) || p(z)), (N,) nats: exact, or estimated at z.

        It is estimated under a learned prior and with `by_z`.
        """
        if self.prior is None and not by_z:
            return kl(mu.float(), logvar.float())
        if self.prior is None:
            log_prior = gaussian_log_prob(z, torch.zeros_like(mu), torch.zeros_like(logvar))
        else:
            log_prior = log_prob(z, self.prior(self.encode))
        return gaussian_log_prob(z, mu, logvar) - log_prior

    def forward(self, x: Tensor, y: Tensor | None = None, draws: int = 1) -> tuple[Tensor, Tensor]:
        """Return x_hat and kl (N,), in nats, at one sampled z of each item.

        `y` holds the classes if the VAE is conditional. With more `draws` there are draws * N rows:
        first those of a first z of each item, and so on.
        """
        mu, logvar = (part.repeat(draws, 1) for part in self.encode(x))
        z = self.reparameterize(mu, logvar)
        x_hat = self.decode(z, y if y is None else y.repeat(draws))
        return x_hat, self.kl(z, mu, logvar, by_z=draws > 1)


class Autoencoder(VAE):
    """The baseline: the same networks, with z = mu and no prior.

    Its loss does not ask the latents to fill the space between them, so that a random z decodes to
    nothing recognisable. Its posterior is a point: logvar is at its minimum, so that a sample is mu
    to float32's precision.
    """

    variational = False

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mu, _ = super().encode(x)
        return mu, torch.full_like(mu, MIN_LOGVAR)

    def reparameterize(self, mu: Tensor, logvar: Tensor) -> Tensor:
        return mu

    def kl(self, z: Tensor, mu: Tensor, logvar: Tensor, by_z: bool = False) -> Tensor:
        return mu.new_zeros(len(mu))


def build(architecture: Mapping[str, Any]) -> VAE:
    """Return a model with random weights.

    `architecture` holds the arguments of `VAE` and `variational`, which is false for `Autoencoder`.
    """
    arguments = dict(architecture)
    return (VAE if arguments.pop("variational") else Autoencoder)(**arguments)

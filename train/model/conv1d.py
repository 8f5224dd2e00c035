"""A convolutional VAE of signals (C, L): windows of L steps, C features each."""

import itertools
from collections.abc import Sequence

from torch import nn

from edgevae.errors import InputError

SMALLEST = 8  # steps: default widths halve no further
SQUEEZED = 16  # channels before the encoder's linear layer, which would hold most weights else


def default_widths(steps: int) -> list[int]:
    """Return 32 channels, and 32 more for each halving down to 8 steps or an odd number."""
    widths = [32]
    while steps > SMALLEST and not steps % 2:
        steps //= 2
        widths.append(widths[-1] + 32)
    return widths


def signal_shape(x_shape: Sequence[int]) -> tuple[int, int]:
    """Return `x_shape` as (C, L); raise `InputError` if it is not that of a signal."""
    if len(x_shape) != 2:
        raise InputError(
            f"expected signals (C, L) for architecture conv1d, got items of shape "
            f"{tuple(x_shape)}: use --architecture mlp"
        )
    features, steps = x_shape
    return features, steps


def conv1d(
    x_shape: Sequence[int], latent_dim: int, widths: Sequence[int]
) -> tuple[nn.Module, nn.Module]:
    """Return the encoder and decoder of signals, with one width for each resolution.

    Each resolution is half the one before: L must be divisible by 2 ** (len(widths) - 1).
    """
    features, steps = signal_shape(x_shape)
    halvings = len(widths) - 1
    if steps % 2**halvings:
        raise InputError(
            f"expected a window divisible by {2**halvings} for widths {tuple(widths)}, got "
            f"{steps}: pass fewer --widths (their count less one is the number of halvings), or "
            "another --window"
        )
    smallest = steps >> halvings
    pairs = list(itertools.pairwise(widths))

    encoder: list[nn.Module] = [nn.Conv1d(features, widths[0], 5, padding=2), nn.ReLU()]
    for wide, narrow in pairs:
        encoder += [nn.Conv1d(wide, narrow, 4, 2, 1), nn.ReLU()]
    encoder += [nn.Conv1d(widths[-1], SQUEEZED, 1), nn.ReLU(), nn.Flatten()]
    encoder += [nn.Linear(SQUEEZED * smallest, 2 * latent_dim)]

    decoder: list[nn.Module] = [nn.Linear(latent_dim, widths[-1] * smallest), nn.ReLU()]
    decoder += [nn.Unflatten(1, (widths[-1], smallest))]
    for wide, narrow in reversed(pairs):
        decoder += [nn.ConvTranspose1d(narrow, wide, 4, 2, 1), nn.ReLU()]
    decoder += [nn.Conv1d(widths[0], features, 5, padding=2)]
    return nn.Sequential(*encoder), nn.Sequential(*decoder)

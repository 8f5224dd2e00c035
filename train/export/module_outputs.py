"""Call the encoder and decoder of any VAE in PyTorch, and read what they return."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from edgevae.errors import InputError


def call(model: nn.Module, verb: str, value: Tensor) -> Any:
    """Call a method, or the submodule that is named after it: encode, encoder."""
    function: Callable[[Tensor], Any] | None = getattr(model, verb, None) or getattr(
        model, f"{verb}r", None
    )
    if function is None:
        raise InputError(
            f"expected a module with a method {verb}, or a submodule {verb}r, got "
            f"{type(model).__name__}; return a pair (encoder, decoder) from the factory"
        )
    return function(value)


def posterior(output: Any, shape: tuple[int, ...]) -> tuple[Tensor, Tensor | None]:
    """Return mu and logvar from an encoder's output; logvar is None if there is one latent alone.

    `shape` is that of a latent, or empty if the caller does not know it.
    """
    output = unwrap(output)
    if isinstance(output, tuple) and len(output) == 2:
        return output
    if isinstance(output, Tensor):
        return split_posterior(output, shape)
    if hasattr(output, "latent_dist"):
        return output.latent_dist.mean, output.latent_dist.logvar
    for point in ("latents", "latent"):
        if hasattr(output, point):
            return getattr(output, point), None
    if hasattr(output, "log_covariance"):
        return output.embedding, output.log_covariance
    if isinstance(output, Mapping) and list(output) == ["embedding"]:
        return output["embedding"], None
    raise InputError(
        f"expected encode to return (mu, logvar), one tensor, or an output of diffusers' or "
        f"pythae's, got {describe(output)}; wrap it in a module whose encode does"
    )


def split_posterior(output: Tensor, shape: tuple[int, ...]) -> tuple[Tensor, Tensor | None]:
    """Return one tensor as mu and logvar, or as mu alone if it has the shape of a latent."""
    if not shape:
        raise InputError(
            f"expected the shape of a latent, since encode gives one tensor of "
            f"{tuple(output.shape[1:])}, got none; pass --latent-shape: that, for an autoencoder, "
            f"or half as many channels, if it holds mu and logvar"
        )
    if tuple(output.shape[1:]) == shape:
        return output, None
    mu, logvar = output.chunk(2, dim=1)
    if tuple(mu.shape[1:]) != shape or mu.shape != logvar.shape:
        raise InputError(
            f"expected encode to give {shape}, or as much twice over, got {tuple(output.shape[1:])}"
        )
    return mu, logvar


def reconstruction(output: Any) -> Tensor:
    """Return x_hat from a decoder's output."""
    output = unwrap(output)
    for key in ("sample", "reconstruction"):
        if not isinstance(output, Tensor) and hasattr(output, key):
            output = getattr(output, key)
    if not isinstance(output, Tensor):
        raise InputError(
            f"expected decode to return a tensor, or an output of diffusers' or pythae's, got "
            f"{describe(output)}; wrap it in a module whose decode does"
        )
    return output


def unwrap(output: Any) -> Any:
    """Return the item of a tuple of one, and anything else as it is."""
    return output[0] if isinstance(output, tuple) and len(output) == 1 else output


def describe(output: object) -> str:
    """Return the type of an output, and the keys of a mapping, for an error."""
    keys = f" of {', '.join(map(str, output))}" if isinstance(output, Mapping) else ""
    return f"{type(output).__name__}{keys}"

"""Check that this device computes what PyTorch computed for the bundle's self-check."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgevae import sampling
from edgevae.vae import VAE

# sha256 of the little-endian bytes of stream 1's normal(257, 33, seed=2**64 - 59, start=2**32 - 7).
GOLDEN = "eb57002701975b7ba0d6459f6df8799273a9e4ad8aff70c26fee0bdb0568effd"

# bfloat16 has 8 bits of precision. The tolerance is that of 16 roundings in the same direction, as
# a share of the largest number.
_BF16 = 16 * 2.0**-8


@dataclass(frozen=True)
class Verification:
    """The outputs of a VAE, compared with those that its bundle carries.

    `differences` has the largest absolute difference of each output (mu, logvar, h and x_hat, if
    the bundle carries them), `tolerances` the largest one allowed. `passed` states for each
    output whether the difference is within the tolerance, and for "stream" whether the golden
    latents are equal bit for bit.
    """

    bundle: str
    provider: str
    precision: str
    tolerances: Mapping[str, float]
    differences: Mapping[str, float]
    passed: Mapping[str, bool]

    @property
    def failed(self) -> list[str]:
        """The names of the outputs that failed."""
        return [key for key, passed in self.passed.items() if not passed]

    def __str__(self) -> str:
        words = {True: "ok", False: "FAILED"}
        lines = [
            f"{self.bundle} on {self.provider} in {self.precision}, against the outputs it carries:"
        ]
        for key, value in self.differences.items():
            limit = f"at most {self.tolerances[key]:.1e}: {words[self.passed[key]]}"
            lines.append(f"  {key:<8} max abs difference {value:.2e}, {limit}")
        lines.append(f"  {'stream':<8} golden latents, to the bit: {words[self.passed['stream']]}")
        return "\n".join(lines)


def verify(vae: VAE) -> Verification:
    """Compute the outputs that the bundle carries, and the golden latents, and compare them."""
    expected = vae.bundle.selfcheck()
    outputs = {"x_hat": vae.decode(expected["z"], labels=expected.get("y"))}
    if vae.bundle.encodes:
        posterior = vae.encode(expected["x"])
        outputs = {"mu": posterior.mu, "logvar": posterior.logvar, **outputs}
    if "activations" in vae.bundle.roles:
        outputs["h"] = vae.activations(expected["x"])
    differences = {
        key: float(np.abs(output - expected[key]).max(initial=0)) for key, output in outputs.items()
    }
    tolerances = {key: _tolerance(vae, key, expected[key]) for key in outputs}
    # NaN fails as well, since <= is false for it.
    passed = {key: value <= tolerances[key] for key, value in differences.items()}
    return Verification(
        bundle=vae.bundle.name,
        provider=vae.provider,
        precision=vae.precision,
        tolerances=tolerances,
        differences=differences,
        passed={**passed, "stream": _stream_sha256() == GOLDEN},
    )


def _tolerance(vae: VAE, key: str, expected: npt.NDArray[np.float32]) -> float:
    """Return the largest difference allowed for an output, by its graph and the precision."""
    role = {"x_hat": "decoder", "h": "activations"}.get(key, "encoder")
    limit = vae.bundle.allowed_difference(role, vae.precision)
    if vae.precision == "bf16":
        limit += _BF16 * float(np.abs(expected).max(initial=0))
    return limit


def _stream_sha256() -> str:
    golden = sampling.normal(257, 33, seed=2**64 - 59, start=2**32 - 7)
    return hashlib.sha256(golden.astype("<f4").tobytes()).hexdigest()

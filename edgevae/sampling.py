"""Latents from stream 1: a pure function of (seed, row, dimension), the same on every machine.

The counter of a row contains the purpose of its noise (`PRIOR`, `POSTERIOR`, `COMPONENT` or
`CORRUPTION`), so that one seed serves all purposes independently. The results of `normal`,
`mixture` and `reparameterize` do not depend on how a range of rows is divided into calls.
csrc/README.md defines the stream.
"""

import math
import os
from collections.abc import Sequence
from typing import Any, Final, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgevae import _core
from edgevae._core import normal, reparameterize
from edgevae.errors import InputError

__all__ = [
    "COMPONENT",
    "CORRUPTION",
    "MAX_LOGVAR",
    "MIN_LOGVAR",
    "POSTERIOR",
    "PRIOR",
    "STREAM",
    "MixtureTable",
    "draw",
    "draw_by_class",
    "fresh_seed",
    "mixture",
    "normal",
    "reparameterize",
]

STREAM: Final = 1
PRIOR: Final = 0
POSTERIOR: Final = 1
COMPONENT: Final = 2
CORRUPTION: Final = 3

# Drawing clamps logvar to this range. exp(MIN_LOGVAR / 2) is less than float32 keeps of a number
# near 1, so that MIN_LOGVAR stands for a posterior that is a point, as an autoencoder's.
MIN_LOGVAR: Final = -30.0
MAX_LOGVAR: Final = 20.0


def fresh_seed() -> int:
    """Return a random seed from the operating system, in [0, 2**64).

    Keep the seed to draw the same latents again.
    """
    return int.from_bytes(os.urandom(8), "little")


class MixtureTable:
    """An immutable mixture of diagonal Gaussians, with the alias table from which `mixture` draws.

    weights: (K,), each finite and 0 or more, not all 0; they need not sum to 1.
    means, logvars: (K, D), finite; logvar is the log of the variance, and drawing clamps it to
        [-30, 20].

    The three arrays are attributes in float32. The alias table is computed from the weights in
    float64 and is the same on every machine, so that equal arrays draw equal rows. Raises
    InputError if an argument does not fit this description.
    """

    __slots__ = ("aliases", "logvars", "means", "scales", "thresholds", "weights")

    weights: NDArray[np.float32]
    means: NDArray[np.float32]
    logvars: NDArray[np.float32]
    scales: NDArray[np.float32]  # exp(logvars / 2)
    thresholds: NDArray[np.uint32]  # row j is drawn if a random word is below thresholds[j],
    aliases: NDArray[np.uint32]  # otherwise row aliases[j]

    def __init__(self, weights: ArrayLike, means: ArrayLike, logvars: ArrayLike) -> None:
        checked_means = _finite_array("means", means, 2)
        checked_logvars = _finite_array("logvars", logvars, 2)
        checked_weights = _finite_array("weights", weights, 1)
        if checked_means.shape[1] == 0 or checked_logvars.shape != checked_means.shape:
            raise InputError(
                "means, logvars: expected two arrays of one shape (components, dims), dims from 1, "
                f"got {checked_means.shape} and {checked_logvars.shape}"
            )
        if len(checked_weights) != len(checked_means):
            raise InputError(
                f"weights: expected {len(checked_means)}, one for each row of means, "
                f"got {len(checked_weights)}"
            )
        if not checked_weights.any() or (checked_weights < 0).any():
            raise InputError(
                "weights: expected numbers of 0 or more, at least one of them above 0, "
                f"got a smallest of {min(checked_weights, default=0)} "
                f"and a largest of {max(checked_weights, default=0)}"
            )
        thresholds, aliases = _alias_table(checked_weights.tolist())
        for name, array in (
            ("weights", checked_weights),
            ("means", checked_means),
            ("logvars", checked_logvars),
            ("scales", _core.scale(checked_logvars)),
            ("thresholds", np.array(thresholds, np.uint32)),
            ("aliases", np.array(aliases, np.uint32)),
        ):
            object.__setattr__(self, name, _immutable_copy(array))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"MixtureTable is immutable: create a new one to change {name}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"MixtureTable is immutable: {name} cannot be deleted")

    def __reduce__(self) -> tuple[type["MixtureTable"], tuple[Any, ...]]:
        return MixtureTable, (self.weights, self.means, self.logvars)

    def __repr__(self) -> str:
        return f"MixtureTable(components={self.components}, dims={self.dims})"

    @property
    def components(self) -> int:
        """The number K of Gaussians."""
        return len(self.means)

    @property
    def dims(self) -> int:
        """The number D of dimensions of each Gaussian."""
        return len(self.means[0])

    def log_density(self, z: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return log p(z) of each row of z (N, D), float64 (N,), in nats.

        log p(z) = log sum_k weight[k] N(z; mean[k], exp(logvar[k])). The memory use is O(N K).
        """
        z64, means, logvars = (a.astype(np.float64) for a in (z, self.means, self.logvars))
        precision = np.exp(-logvars)
        # (z - mean)^2 / var, summed over D by matrix products instead of an array (N, K, D).
        squares = z64**2 @ precision.T - 2 * z64 @ (means * precision).T
        constant = (means**2 * precision + logvars).sum(1) + self.dims * math.log(2 * math.pi)
        with np.errstate(divide="ignore"):  # the weight of a component may be 0
            log_weights = np.log(self.weights.astype(np.float64) / self.weights.sum(dtype=float))
        terms = log_weights - (squares + constant) / 2
        largest = terms.max(1)
        density: NDArray[np.float64] = largest + np.log(np.exp(terms - largest[:, None]).sum(1))
        return density


def mixture(
    rows: SupportsIndex,
    table: MixtureTable,
    *,
    seed: SupportsIndex,
    start: SupportsIndex = 0,
    temperature: float = 1.0,
    out: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Draw rows from a mixture: z = mean[k] + exp(logvar[k] / 2) * temperature * eps.

    Both the component k (purpose COMPONENT) and eps (purpose PRIOR) come from the row's counter, so
    that row i of the result is row start + i of the stream (modulo 2**64), and the division of a
    range into calls does not matter.

    rows: the number of rows, from 0
    seed, start: in [0, 2**64)
    temperature: finite, 0 or more. It scales eps only: at 0 every row is the mean of its component.
    out: float32 (rows, table.dims), C-contiguous, not overlapping the table's arrays, to be filled
        and returned; None makes a new array

    Returns float32 (rows, table.dims).
    Raises InputError, before anything is written, if an argument does not fit this description.

    Sources: the alias method of Walker 1977, with the table of Vose 1991.
    """
    if not isinstance(table, MixtureTable):
        raise InputError(
            f"table: expected a MixtureTable, got {type(table).__name__}; "
            "MixtureTable(weights, means, logvars) creates one"
        )
    return _core.mixture(
        rows,
        table.means,
        table.scales,
        table.thresholds,
        table.aliases,
        seed=seed,
        start=start,
        temperature=temperature,
        out=out,
    )


def draw(
    table: MixtureTable | None,
    rows: int,
    dims: int,
    *,
    seed: int,
    start: int = 0,
    temperature: float = 1.0,
    out: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Draw rows of a prior: the mixture `table` or, if it is None, the standard normal.

    Returns float32 (rows, dims), which is `out` unless that is None. The temperature, 0 or more,
    scales eps. Raises InputError as `mixture` and `normal` do.
    """
    if table is not None:
        return mixture(rows, table, seed=seed, start=start, temperature=temperature, out=out)
    z = normal(rows, dims, seed=seed, start=start, out=out)
    if temperature != 1.0:
        z *= np.float32(temperature)
    return z


def draw_by_class(
    tables: Sequence[MixtureTable],
    classes: NDArray[np.int64],
    *,
    seed: int,
    start: int = 0,
    temperature: float = 1.0,
    out: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Draw rows of a prior with one mixture for each class; row i uses tables[classes[i]].

    A row does not depend on the classes of other rows. Returns float32 (len(classes), dims), which
    is `out` unless that is None.
    """
    z = np.empty((len(classes), tables[0].dims), np.float32) if out is None else out
    for k in np.unique(classes):
        rows = mixture(len(z), tables[k], seed=seed, start=start, temperature=temperature)
        z[classes == k] = rows[classes == k]
    return z


def _finite_array(name: str, value: ArrayLike, axes: int) -> NDArray[np.float32]:
    try:
        with np.errstate(over="ignore"):  # numbers beyond float32 become infinity, an error below
            array = np.ascontiguousarray(value, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: expected an array of numbers, got {error}") from None
    if np.ndim(value) != axes:
        raise InputError(f"{name}: expected {axes} axes, got shape {np.shape(value)}")
    if not np.isfinite(array).all():
        raise InputError(f"{name}: expected finite float32 numbers, got NaN or infinity")
    return array


def _immutable_copy(array: NDArray[Any]) -> NDArray[Any]:
    """Return a copy that cannot be made writeable, since its memory is a bytes object."""
    return np.frombuffer(array.tobytes(), array.dtype).reshape(array.shape)


def _alias_table(weights: list[float]) -> tuple[list[int], list[int]]:
    """Return the thresholds and aliases of Vose's table.

    Column j of the table is component j with probability thresholds[j] / 2**32, otherwise component
    aliases[j]. The sum is exactly rounded (math.fsum) and the order is fixed, so that the table is
    the same on every machine.
    """
    count, total = len(weights), math.fsum(weights)
    heights = [weight / total * count for weight in weights]
    thresholds, aliases = [2**32 - 1] * count, list(range(count))
    low = [j for j in reversed(range(count)) if heights[j] < 1]
    high = [j for j in reversed(range(count)) if heights[j] >= 1]
    while low and high:
        j, donor = low.pop(), high[-1]
        thresholds[j], aliases[j] = int(heights[j] * 2**32), donor
        heights[donor] -= 1 - heights[j]
        if heights[donor] < 1:
            low.append(high.pop())
    # The heights of the remaining columns are 1 up to rounding; they stay their own aliases.
    return thresholds, aliases

"""Latents from stream 1: a pure function of (seed, row, dimension), the same on every machine.

The counter of a row has a word for what its noise is for (`PRIOR`, `POSTERIOR`, `COMPONENT`,
`CORRUPTION`), so that one seed serves all of them independently. `normal`, `mixture` and
`reparameterize` never depend on how a range of rows is cut into calls.
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


def fresh_seed() -> int:
    """Return 64 bits from the operating system, in [0, 2**64): keep it to make the same again."""
    return int.from_bytes(os.urandom(8), "little")


class MixtureTable:
    """A mixture of diagonal Gaussians, ready to be drawn from; immutable.

    weights: (K,), each finite and 0 or more, not all 0; they need not sum to 1.
    means, logvars: (K, D), finite; logvar is the log of the variance, clamped to [-30, 20] in use.

    All three are kept, and can be read, as float32. The alias table is built from them in float64
    and is the same on every machine, so that equal arrays draw equal rows. Raises InputError where
    an argument is none of the above.
    """

    __slots__ = ("aliases", "logvars", "means", "scales", "thresholds", "weights")

    weights: NDArray[np.float32]
    means: NDArray[np.float32]
    logvars: NDArray[np.float32]
    scales: NDArray[np.float32]  # exp(logvars / 2)
    thresholds: NDArray[np.uint32]  # row j stands for itself where a word is below thresholds[j],
    aliases: NDArray[np.uint32]  # and for row aliases[j] otherwise

    def __init__(self, weights: ArrayLike, means: ArrayLike, logvars: ArrayLike) -> None:
        checked_means = _finite("means", means, 2)
        checked_logvars = _finite("logvars", logvars, 2)
        checked_weights = _finite("weights", weights, 1)
        if checked_means.shape[1] == 0 or checked_logvars.shape != checked_means.shape:
            raise InputError(
                "means, logvars: expected two arrays of one shape (components, dims), dims from 1, "
                f"got {checked_means.shape} and {checked_logvars.shape}"
            )
        if len(checked_weights) != len(checked_means):
            raise InputError(
                f"weights: expected {len(checked_means)}, one to each row of means, "
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
            object.__setattr__(self, name, _frozen(array))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"MixtureTable is immutable: make a new one to change {name}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"MixtureTable is immutable: {name} cannot be deleted")

    def __reduce__(self) -> tuple[type["MixtureTable"], tuple[Any, ...]]:
        return MixtureTable, (self.weights, self.means, self.logvars)

    def __repr__(self) -> str:
        return f"MixtureTable(components={self.components}, dims={self.dims})"

    @property
    def components(self) -> int:
        """K, how many Gaussians are mixed."""
        return len(self.means)

    @property
    def dims(self) -> int:
        """D, the dimensions of each."""
        return len(self.means[0])

    def log_density(self, z: NDArray[np.float32]) -> NDArray[np.float64]:
        """log p(z) of rows (N, D): (N,) nats; memory holds N * K numbers.

        log sum_k weight[k] N(z; mean[k], exp(logvar[k])).
        """
        wide, means, logvars = (a.astype(np.float64) for a in (z, self.means, self.logvars))
        precision = np.exp(-logvars)
        # ((z - mean)^2 / var) summed over D, as matrix products: no array of (N, K, D).
        squares = wide**2 @ precision.T - 2 * wide @ (means * precision).T
        constant = (means**2 * precision + logvars).sum(1) + self.dims * math.log(2 * math.pi)
        with np.errstate(divide="ignore"):  # a component may have no weight
            log_weights = np.log(self.weights.astype(np.float64) / self.weights.sum(dtype=float))
        terms = log_weights - (squares + constant) / 2
        most = terms.max(1)
        density: NDArray[np.float64] = most + np.log(np.exp(terms - most[:, None]).sum(1))
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

    The component k comes from the row's own counter (purpose COMPONENT), eps from purpose PRIOR,
    so that row i of the result is row start + i of the stream (modulo 2**64), however a range is
    cut. Temperature, finite and 0 or more, scales eps alone: at 0 every row is a mean, and the
    components are chosen as ever.

    Returns float32 (rows, table.dims), in `out` where that is given: float32, C-contiguous, apart
    from the table. Raises InputError, before anything is written, where an argument is wrong.

    Alias method: Walker 1977, with the table of Vose 1991.
    """
    if not isinstance(table, MixtureTable):
        raise InputError(
            f"table: expected a MixtureTable, got {type(table).__name__}; "
            "MixtureTable(weights, means, logvars) makes one"
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
    """Rows of a prior: of a mixture, or for None of the standard normal in so many dimensions.

    Float32 (rows, dims), in `out` where that is given. Temperature, 0 or more, scales eps.
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
    """Rows of a prior that has a mixture for each class: row i from that of classes[i].

    A row of a class is the same whatever the classes of its neighbours. Float32 (rows, dims).
    """
    z = np.empty((len(classes), tables[0].dims), np.float32) if out is None else out
    for k in np.unique(classes):
        rows = mixture(len(z), tables[k], seed=seed, start=start, temperature=temperature)
        z[classes == k] = rows[classes == k]
    return z


def _finite(name: str, value: ArrayLike, axes: int) -> NDArray[np.float32]:
    try:
        with np.errstate(over="ignore"):  # beyond float32 is infinity, refused below
            array = np.ascontiguousarray(value, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: expected an array of numbers, got {error}") from None
    if np.ndim(value) != axes:
        raise InputError(f"{name}: expected {axes} axes, got shape {np.shape(value)}")
    if not np.isfinite(array).all():
        raise InputError(f"{name}: expected finite float32 numbers, got NaN or infinity")
    return array


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    """Copy an array onto bytes, which nobody can make writeable again."""
    return np.frombuffer(array.tobytes(), array.dtype).reshape(array.shape)


def _alias_table(weights: list[float]) -> tuple[list[int], list[int]]:
    """Vose's table: column j, of height 1 / K, is j up to thresholds[j] / 2**32, then aliases[j].

    Sums are exactly rounded (math.fsum) and the order is fixed, so that no machine differs.
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
    return thresholds, aliases  # what is left is 1 but for rounding, and is its own alias

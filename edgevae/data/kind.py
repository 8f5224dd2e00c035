"""The interface of all kinds of data, and their common behaviour."""

import math
from abc import ABC
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from edgevae import checks
from edgevae._core import are_rows
from edgevae.data.features import Features, numbered
from edgevae.data.items import Floats, Items, Range, accepted, batched, check_values
from edgevae.errors import InputError, show
from edgevae.json_fields import Fields


@dataclass(frozen=True)
class Kind(ABC):
    """The data of one model: `Image`, `Vector`, `Signal` or `Text`.

    x_shape: the shape of one item x, without the batch axis.
    x_range: the lowest and the highest value of x, or None if x is unbounded.
    features: the names and scales of the features of vectors and signals, if known.
    stride: the number of steps between the windows of a signal in training, if known.

    `name` is the kind's name in a manifest. `drawable` is true if items can be drawn as pictures,
    `is_text` if they are strings, and `tabular` if an item consists of features that have names.
    """

    name: ClassVar[str]
    drawable: ClassVar[bool] = False
    is_text: ClassVar[bool] = False
    tabular: ClassVar[bool] = False
    accepts: ClassVar[str] = "an array of float32"

    x_shape: tuple[int, ...]
    x_range: Range | None = None
    features: Features | None = field(default=None, init=False)
    stride: int | None = field(default=None, init=False)
    # Computed once, and not by `cached_property`, whose lock a fork could copy (Python 3.11).
    _accepted: Range = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_accepted", accepted(self.x_range))

    def read(self, x: Any) -> Items:
        """Return a caller's items as float32 rows (N, *x_shape), checked.

        x is a float array (N, *x_shape) or (*x_shape), or a list of single items, which gives a
        list back. Raises `InputError` for a wrong type, shape or dtype, for NaN and infinity, and
        for values far outside of x_range.
        """
        if isinstance(x, np.ndarray) and x.dtype.kind == "f":
            return self._read_floats(x)
        if isinstance(x, (list, tuple)):
            return self._read_list(x)
        raise InputError(
            f"x: expected {self.accepts}, got {type_name(x)}; numpy.asarray(x, 'float32') converts"
        )

    def rows(self, x: Any) -> Floats:
        """Return the rows of `read`, for callers that need nothing else."""
        if type(x) is np.ndarray and are_rows(x, self.x_shape, *self._accepted):
            return x  # as most callers pass them
        return self.read(x).rows

    def _read_list(self, items: Sequence[Any]) -> Items:
        parts = []
        for i, item in enumerate(items):
            if isinstance(item, (list, tuple)):
                raise InputError(
                    f"item {i} of the list: expected a single item, got a {type(item).__name__}"
                )
            try:
                part = self.read(item)
            except InputError as error:
                raise InputError(f"item {i} of the list: {error}") from error
            if not part.single:
                raise InputError(f"item {i} of the list: expected a single item, got a batch")
            parts.append(part)

        def restore(x_hat: Floats) -> list[Any]:
            return [part.back(x_hat[i : i + 1]) for i, part in enumerate(parts)]

        rows = [part.rows for part in parts]
        empty = np.empty((0, *self.x_shape), np.float32)
        return Items(np.concatenate(rows) if rows else empty, restore)

    def _read_floats(self, x: npt.NDArray[Any]) -> Items:
        batch, single = batched(x, self.x_shape)
        rows = checks.floats(batch, "x")
        if self.features is not None:
            rows = self.features.imputed(rows)
        check_values(rows, self.x_range)
        return Items(rows, _unchanged, single)

    def allocate(
        self,
        n: int,
        dtype: str = "float32",
        out: npt.NDArray[Any] | None = None,
        *,
        owner: str = "the model",
    ) -> npt.NDArray[Any]:
        """Return the array for n results: `out`, if it has the right shape and dtype, or a new one.

        `dtype` is "float32", or "uint8" for images. `owner` names the model in errors. Raises
        `InputError` for a dtype or an `out` that does not fit.
        """
        check_dtype(dtype)
        if dtype != "float32":
            raise InputError(
                f"dtype: expected 'float32', since {owner} returns {self.name}s, got "
                f"{show(dtype)}, which is for images"
            )
        return checks.output_array((n, *self.x_shape), dtype, out)

    def finish(self, x_hat: Floats, out: npt.NDArray[Any]) -> None:
        """Write x_hat, float32 (n, *x_shape), into an array from `allocate`."""
        np.copyto(out, x_hat)

    def result(self, out: npt.NDArray[Any]) -> Any:
        """Return a filled array from `allocate` in the type that callers receive."""
        return out

    def default_output(self, stem: str, image_suffix: str) -> str:
        """Return the default name of an output; `image_suffix`, such as ".png", is for images."""
        return f"{stem}.npy"

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the numbers in one row of a table; x0, x1 and so on if they are unknown."""
        return self.features.names if self.features else numbered("x", math.prod(self.x_shape))

    @property
    def row_shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shapes that one row of JSON lines may have."""
        return ((math.prod(self.x_shape),), self.x_shape)

    @property
    def window(self) -> int | None:
        """The number of steps of a signal; None for data that are not cut from a recording."""
        return None

    def as_json(self) -> dict[str, Any]:
        """Return the fields of a manifest that describe the data."""
        return {
            "kind": self.name,
            "x": {"shape": list(self.x_shape), "range": self.x_range and list(self.x_range)},
        }

    @classmethod
    def from_json(cls, fields: Fields) -> Self:
        """Return the kind that `as_json` described. Raises `BundleError`."""
        x = fields.fields("x")
        return cls(x.shape("shape"), x.span("range"))


def _unchanged(x_hat: Floats) -> Floats:
    return x_hat


def check_dtype(dtype: str) -> None:
    """Raise `InputError` unless dtype is "float32" or "uint8"."""
    if not isinstance(dtype, (str, np.dtype)) or dtype not in ("float32", "uint8"):
        raise InputError(f"dtype: expected 'float32' or 'uint8', got {show(dtype)}")


def type_name(x: object) -> str:
    """Return the type of x, as errors show it."""
    return f"an array of {x.dtype}" if isinstance(x, np.ndarray) else f"a {type(x).__name__}"

"""The features of vectors and signals: names, scales, and the values that replace NaN."""

from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from edgevae.errors import BundleError, show
from edgevae.json_fields import Fields

Floats = npt.NDArray[np.float32]


class Features(NamedTuple):
    """One entry for each of the C features of x (C,) or (C, L).

    The graphs take and return the data's own units. The networks inside see (x - center) / scale.
    `impute` holds the values that replace NaN; None if NaN is refused.
    """

    names: tuple[str, ...]
    center: tuple[float, ...]
    scale: tuple[float, ...]
    impute: tuple[float, ...] | None = None

    def imputed(self, x: Floats) -> Floats:
        """Return x (N, C) or (N, C, L) with NaN replaced, or x itself if it has no NaN."""
        if self.impute is None or not (missing := np.isnan(x)).any():
            return x
        values = np.asarray(self.impute, np.float32).reshape(-1, *(1,) * (x.ndim - 2))
        return np.where(missing, values, x)

    def as_json(self) -> dict[str, Any]:
        """Return the manifest's field `features`."""
        return {key: value and list(value) for key, value in self._asdict().items()}

    @classmethod
    def from_json(cls, fields: Fields, count: int) -> Self | None:
        """Return the features of a manifest, for x of `count` features; None without the field.

        Raises `BundleError`.
        """
        if "features" not in fields:
            return None
        entry = fields.fields("features")
        parts: dict[str, Any] = {}
        for key in cls._fields:
            if key == "impute" and (key not in entry or entry.take(key) is None):
                continue
            values = _entries(fields, key, entry.take(key), count)
            parts[key] = tuple(values) if key == "names" else tuple(map(float, values))
        features = cls(**parts)
        numbers = (*features.center, *features.scale, *(features.impute or ()))
        if not np.isfinite(numbers).all() or min(features.scale) <= 0:
            raise _bad(fields, "center, scale and impute must be finite, and scale above 0")
        return features


def numbered(prefix: str, count: int) -> tuple[str, ...]:
    """Return names for `count` features or dimensions: x0, x1 and so on for the prefix x."""
    return tuple(f"{prefix}{i}" for i in range(count))


def _entries(fields: Fields, key: str, values: object, count: int) -> list[Any]:
    types, plural = (str, "strings") if key == "names" else ((int, float), "numbers")
    if not isinstance(values, list) or not all(isinstance(value, types) for value in values):
        raise _bad(fields, f"{key} must be a list of {plural}, got {show(values)}")
    if len(values) != count:
        raise _bad(
            fields, f"{key} must have an entry for each of {count} features, got {show(values)}"
        )
    return values


def _bad(fields: Fields, problem: str) -> BundleError:
    return fields.bad("features", f"a description of each feature ({problem})")

"""The features of vectors and signals: what they are called, how training scaled them, and what
stands in for a value that is missing."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from edgevae.errors import InputError


class Features(NamedTuple):
    """One entry for each of the C features of x (C,) or (C, L).

    The graphs speak the data's own units and hold `center` and `scale` themselves: these tell what
    (x - center) / scale the networks see. `impute` has what replaces NaN, None where NaN is
    refused.
    """

    names: tuple[str, ...]
    center: tuple[float, ...]
    scale: tuple[float, ...]
    impute: tuple[float, ...] | None = None

    def as_json(self) -> dict[str, Any]:
        """The manifest's field."""
        return {key: value and list(value) for key, value in self._asdict().items()}


def read(entry: Mapping[str, object], count: int) -> Features:
    """`as_json` read back, for x of `count` features. Raises `InputError`."""
    parts: dict[str, Any] = {}
    for key in Features._fields:
        value = entry.get(key)
        if key == "impute" and value is None:
            continue
        kinds = str if key == "names" else (int, float)
        if not isinstance(value, list) or not all(isinstance(part, kinds) for part in value):
            of = "strings" if key == "names" else "numbers"
            raise InputError(f"{key} must be a list of {of}, got {value!r:.60}")
        if len(value) != count:
            raise InputError(
                f"{key} must have an entry for each of {count} features, got {value!r:.60}"
            )
        parts[key] = tuple(value) if key == "names" else tuple(map(float, value))
    found = Features(**parts)
    numbers = (*found.center, *found.scale, *(found.impute or ()))
    if not np.isfinite(numbers).all() or min(found.scale) <= 0:
        raise InputError("center, scale and impute must be finite, and scale above 0")
    return found


def imputed(x: npt.NDArray[np.float32], features: Features | None) -> npt.NDArray[np.float32]:
    """x (N, C) or (N, C, L) with what replaces NaN in its place; x itself where nothing does."""
    if features is None or features.impute is None or not (missing := np.isnan(x)).any():
        return x
    values = np.asarray(features.impute, np.float32).reshape(-1, *(1,) * (x.ndim - 2))
    return np.where(missing, values, x)

"""JSON that a person may have edited: taken field by field, each with its type, or refused."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TypeGuard

from edgevae.errors import BundleError


class Fields:
    """A JSON object whose fields are taken one by one, each with its type; `where` names it."""

    def __init__(self, value: object, where: str) -> None:
        if not isinstance(value, dict):
            raise BundleError(f"{where}: expected an object, got {show(value)}; export it again")
        self._value: dict[str, object] = value
        self._where = where

    def bad(self, key: str, expected: str) -> BundleError:
        return BundleError(
            f"{self._where}: {key} must be {expected}, got {show(self._value.get(key))}; "
            f"export the bundle again"
        )

    def take(self, key: str) -> object:
        if key not in self._value:
            raise BundleError(f"{self._where}: {key} is missing; export the bundle again")
        return self._value[key]

    def text(self, key: str, among: tuple[str, ...] = ()) -> str:
        value = self.take(key)
        if not isinstance(value, str) or not value or (among and value not in among):
            raise self.bad(key, " or ".join(map(repr, among)) or "a string that is not empty")
        return value

    def integer(self, key: str) -> int:
        value = self.take(key)
        if not is_integer(value) or value < 0:
            raise self.bad(key, "a whole number of at least 0")
        return value

    def number(self, key: str) -> float:
        value = self.take(key)
        if not is_number(value) or value < 0:
            raise self.bad(key, "a finite number of at least 0")
        return float(value)

    def shape(self, key: str) -> tuple[int, ...]:
        value = self.take(key)
        if not isinstance(value, list) or not value or not all(map(is_integer, value)):
            raise self.bad(key, "a list of whole numbers")
        if min(value) < 1:
            raise self.bad(key, "a list of whole numbers of at least 1")
        return tuple(value)

    def span(self, key: str) -> tuple[float, float] | None:
        value = self.take(key)
        if value is None:
            return None
        if not isinstance(value, list) or len(value) != 2 or not all(map(is_number, value)):
            raise self.bad(key, "null or [low, high]")
        if value[0] >= value[1]:
            raise self.bad(key, "[low, high] with low < high")
        return float(value[0]), float(value[1])

    def scalars(self, key: str) -> dict[str, str | float]:
        """An object of strings and numbers."""
        fields = self.fields(key)
        scalars: dict[str, str | float] = {}
        for entry, value in fields._value.items():
            if not isinstance(value, str) and not is_number(value):
                raise fields.bad(entry, "a string or a finite number")
            scalars[entry] = value
        return scalars

    def whole(self) -> dict[str, object]:
        return self._value

    def fields(self, key: str) -> "Fields":
        return Fields(self.take(key), f"{self._where}: {key}")

    def __contains__(self, key: str) -> bool:
        return key in self._value

    def __iter__(self) -> Iterator[str]:
        return iter(self._value)

    def each(self) -> "Iterator[tuple[str, Fields]]":
        for key in self._value:
            yield key, self.fields(key)


def is_integer(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> TypeGuard[float]:
    return is_integer(value) or (isinstance(value, float) and math.isfinite(value))


def show(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def parse(path: Path) -> object:
    try:
        return json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise BundleError(
            f"{path.parent}: not a bundle, as it has no {path.name}; "
            f"make one with `python -m train export`"
        ) from None
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{path}: expected JSON, got {error}; copy the bundle again") from error

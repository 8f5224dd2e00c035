"""Read JSON that a person may have edited, each field with its type, or raise `BundleError`."""

import json
import math
import sys
from collections.abc import Iterator
from typing import TypeGuard

from edgevae.errors import BundleError, show

MOST_NUMBERS = 1 << 28  # of one item: a GiB of float32


class Fields:
    """A JSON object whose fields are read one by one, each with its type.

    Each method raises `BundleError`, which names `where` and the field, if the field is missing or
    of another type.
    """

    def __init__(self, value: object, where: str) -> None:
        if not isinstance(value, dict):
            raise BundleError(f"{where}: expected an object, got {show(value)}; export it again")
        self._value: dict[str, object] = value
        self._where = where

    @property
    def where(self) -> str:
        """The place of the object, as errors name it."""
        return self._where

    def bad(self, key: str, expected: str) -> BundleError:
        """Return the error for a field whose value is not as expected."""
        return BundleError(
            f"{self._where}: {key} must be {expected}, got {show(self._value.get(key))}; "
            f"export the bundle again"
        )

    def take(self, key: str) -> object:
        """Return a field's value, of any type."""
        if key not in self._value:
            raise BundleError(f"{self._where}: {key} is missing; export the bundle again")
        return self._value[key]

    def text(self, key: str, among: tuple[str, ...] = ()) -> str:
        """Return a string that is not empty, and is one of `among` unless that is empty."""
        value = self.take(key)
        if not isinstance(value, str) or not value or (among and value not in among):
            raise self.bad(key, " or ".join(map(repr, among)) or "a string that is not empty")
        return value

    def integer(self, key: str) -> int:
        """Return an integer of at least 0 that has 63 bits at most."""
        value = self.take(key)
        if not is_integer(value) or value < 0:
            raise self.bad(key, "a whole number of at least 0")
        if value >= 1 << 63:
            raise self.bad(key, "below 2^63")
        return value

    def count(self, key: str) -> int:
        """Return an integer of at least 1."""
        if (value := self.integer(key)) < 1:
            raise self.bad(key, "at least 1")
        return value

    def number(self, key: str) -> float:
        """Return a finite number of at least 0, an int if it is written as one."""
        value = self.take(key)
        if not is_number(value) or value < 0:
            raise self.bad(key, "a finite number of at least 0")
        return value

    def shape(self, key: str) -> tuple[int, ...]:
        """Return a shape: one or more integers of at least 1, whose product is bounded."""
        value = self.take(key)
        if not isinstance(value, list) or not value or not all(map(is_integer, value)):
            raise self.bad(key, "a list of whole numbers")
        if min(value) < 1:
            raise self.bad(key, "a list of whole numbers of at least 1")
        if math.prod(value) > MOST_NUMBERS:
            raise self.bad(key, f"the shape of at most {MOST_NUMBERS} numbers")
        return tuple(value)

    def span(self, key: str) -> tuple[float, float] | None:
        """Return an interval (low, high) with low < high, or None."""
        value = self.take(key)
        if value is None:
            return None
        if not isinstance(value, list) or len(value) != 2 or not all(map(is_number, value)):
            raise self.bad(key, "null or [low, high]")
        low, high = value
        if low >= high:
            raise self.bad(key, "[low, high] with low < high")
        return low, high

    def scalars(self, key: str) -> dict[str, str | float]:
        """Return an object of strings and finite numbers."""
        entry = self.fields(key)
        scalars: dict[str, str | float] = {}
        for name, value in entry._value.items():
            if not isinstance(value, str) and not is_number(value):
                raise entry.bad(name, "a string or a finite number")
            scalars[name] = value
        return scalars

    def fields(self, key: str) -> "Fields":
        """Return a field whose value is an object."""
        return Fields(self.take(key), f"{self._where}: {key}")

    def objects(self, key: str) -> "Iterator[Fields]":
        """Yield the objects of a list."""
        value = self.take(key)
        if not isinstance(value, list):
            raise self.bad(key, "a list of objects")
        for i, each in enumerate(value):
            yield Fields(each, f"{self._where}: {key}[{i}]")

    def each(self) -> "Iterator[tuple[str, Fields]]":
        """Yield the name and the value of each field, all of which are objects."""
        for key in self._value:
            yield key, self.fields(key)

    def __contains__(self, key: str) -> bool:
        return key in self._value

    def __iter__(self) -> Iterator[str]:
        return iter(self._value)


def is_integer(value: object) -> TypeGuard[int]:
    """Return True if a value is an integer and not a boolean."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> TypeGuard[float]:
    """Return True if a value is a finite number that a float can hold, and not a boolean."""
    largest = sys.float_info.max
    return (is_integer(value) or isinstance(value, float)) and -largest <= value <= largest


def parse(content: bytes, where: str) -> object:
    """Return the content of a bundle's JSON file. Raises `BundleError` if it is not JSON."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{where}: expected JSON, got {error}; copy the bundle again") from error

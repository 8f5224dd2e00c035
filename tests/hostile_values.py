"""What the attacks by values share: a limit of time for each case, and hostile values."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import as_strided

LIMIT_S = 60


@contextmanager
def time_limit(what: str) -> Iterator[None]:
    """Raise TimeoutError where the block takes longer than `LIMIT_S` seconds: it hangs."""

    def expired(*_: object) -> None:
        raise TimeoutError(f"{what} did not end within {LIMIT_S} s")

    before = signal.signal(signal.SIGALRM, expired)
    signal.alarm(LIMIT_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


class Subclass(np.ndarray):
    """A subclass of an array without behaviour of its own."""


class Failing:
    """An object whose conversions all fail, with an error that is no TypeError."""

    def __array__(self, *_: object, **__: object) -> np.ndarray:
        raise RuntimeError("no array")

    def __index__(self) -> int:
        raise RuntimeError("no integer")

    def __float__(self) -> float:
        raise RuntimeError("no number")


class Indexed:
    """An object that stands for an integer, and is not one."""

    def __init__(self, number: object) -> None:
        self.number = number

    def __index__(self) -> int:
        return self.number


def recursive() -> list:
    """Return a list that holds itself."""
    endless: list = []
    endless.append(endless)
    return endless


def nested(depth: int) -> list:
    """Return an empty list within `depth` lists."""
    inner: list = []
    for _ in range(depth):
        inner = [inner]
    return inner


# Values that suit no argument, or that only some arguments take. Each is made anew.
SCALARS: dict[str, Callable[[], object]] = {
    "None": lambda: None,
    "True": lambda: True,
    "str": lambda: "fashion",
    "empty str": lambda: "",
    "NUL": lambda: "a\0b",
    "surrogate": lambda: "\ud800",
    "digits": lambda: "1",
    "bytes": lambda: b"float32",
    "bytearray": lambda: bytearray(4),
    "ellipsis": lambda: ...,
    "type": lambda: int,
    "function": lambda: len,
    "-1": lambda: -1,
    "0": lambda: 0,
    "2**63": lambda: 1 << 63,
    "2**64": lambda: 1 << 64,
    "-2**64": lambda: -1 << 64,
    "10**400": lambda: 10**400,
    "10**5000": lambda: 10**5000,
    "-10**5000": lambda: -(10**5000),
    "0.5": lambda: 0.5,
    "-0.5": lambda: -0.5,
    "1e300": lambda: 1e300,
    "1e39": lambda: 1e39,
    "nan": lambda: float("nan"),
    "inf": lambda: float("inf"),
    "-inf": lambda: float("-inf"),
    "complex": lambda: 1j,
    "Decimal nan": lambda: Decimal("nan"),
    "Decimal snan": lambda: Decimal("snan"),
    "Fraction": lambda: Fraction(1, 3),
    "np.int8": lambda: np.int8(-3),
    "np.uint64": lambda: np.uint64(2**64 - 1),
    "np.float16 nan": lambda: np.float16("nan"),
    "np.float64 inf": lambda: np.float64("inf"),
    "np.longdouble": lambda: np.longdouble("1e400"),
    "np.bool": lambda: np.True_,
    "np.complex": lambda: np.complex64(1),
    "NaT": lambda: np.datetime64("NaT"),
    "np.str": lambda: np.str_("1"),
    "Path": lambda: Path(os.curdir),
    "failing": Failing,
    "indexed": lambda: Indexed(2),
    "indexed str": lambda: Indexed("2"),
    "object": object,
}
COLLECTIONS: dict[str, Callable[[], object]] = {
    "[]": list,
    "()": tuple,
    "{}": dict,
    "set": lambda: {1, 2},
    "dict": lambda: {"x": 1},
    "generator": lambda: (i for i in range(3)),
    "range": lambda: range(3),
    "ragged": lambda: [[1.0], [1.0, 2.0]],
    "list of None": lambda: [None, None],
    "list of nan": lambda: [float("nan")] * 3,
    "list of huge": lambda: [10**400],
    "list of str": lambda: ["a", "b"],
    "mixed list": lambda: ["a", 1, None, [2]],
    "list of failing": lambda: [Failing()],
    "recursive list": recursive,
    "deep list": lambda: nested(3000),
    "memoryview": lambda: memoryview(bytearray(16)),
    "memoryview of floats": lambda: memoryview(np.zeros((2, 4), np.float32)),
}
ARRAYS: dict[str, Callable[[], object]] = {
    "0-d": lambda: np.array(1.0, np.float32),
    "0-d nan": lambda: np.array(np.nan, np.float32),
    "0-d int": lambda: np.array(1),
    "0-d object": lambda: np.array(None),
    "empty": lambda: np.empty((0,), np.float32),
    "empty rows": lambda: np.empty((0, 4), np.float32),
    "rows of nothing": lambda: np.empty((3, 0), np.float32),
    "objects": lambda: np.array([None, "a", 10**400], object),
    "object floats": lambda: np.array([[1.0] * 4], object),
    "strings": lambda: np.array(["a", "b"]),
    "bytes array": lambda: np.array([b"a"]),
    "dates": lambda: np.array(["2020-01-01"], "M8[D]"),
    "records": lambda: np.zeros(3, [("x", "f4"), ("y", "i4")]),
    "voids": lambda: np.zeros(3, "V8"),
    "bools": lambda: np.ones(3, bool),
    "complexes": lambda: np.ones((1, 4), complex),
    "nan array": lambda: np.full((1, 4), np.nan, np.float32),
    "inf array": lambda: np.full((1, 4), np.inf, np.float32),
    "1e300 array": lambda: np.full((1, 4), 1e300),
    "many axes": lambda: np.zeros((1,) * 32, np.float32),
    "huge view": lambda: as_strided(np.zeros(1, np.float32), (1 << 40, 4), (0, 0)),
    "labels": lambda: np.array([0, 1, 2]),
    "negative labels": lambda: np.array([-1]),
    "labels 2-d": lambda: np.zeros((1, 1), np.int64),
}
SINGLE = {**SCALARS, **COLLECTIONS, **ARRAYS}


def shaped(shape: tuple[int, ...]) -> dict[str, Callable[[], object]]:
    """Return arrays of a shape that an argument takes, hostile in all but the shape."""
    size = int(np.prod(shape))

    def unaligned() -> np.ndarray:
        return np.frombuffer(bytearray(4 * size + 1), np.float32, size, 1).reshape(shape)

    def read_only() -> np.ndarray:
        array = np.zeros(shape, np.float32)
        array.flags.writeable = False
        return array

    def overlapping() -> np.ndarray:
        return as_strided(np.zeros(size + 8, np.float32), shape, (4,) * len(shape))

    def masked() -> np.ma.MaskedArray:
        return np.ma.masked_array(np.zeros(shape, np.float32), np.ones(shape, bool))

    return {
        "fits": lambda: np.zeros(shape, np.float32),
        "fits, unaligned": unaligned,
        "fits, read-only": read_only,
        "fits, masked": masked,
        "fits, subclass": lambda: np.zeros(shape, np.float32).view(Subclass),
        "fits, big-endian": lambda: np.zeros(shape, ">f4"),
        "fits, float16": lambda: np.zeros(shape, np.float16),
        "fits, longdouble": lambda: np.full(shape, np.longdouble("1e400")),
        "fits, 1e300": lambda: np.full(shape, 1e300),
        "fits, uint8": lambda: np.zeros(shape, np.uint8),
        "fits, objects": lambda: np.zeros(shape, object),
        "fits, Fortran": lambda: np.zeros(shape, np.float32, order="F"),
        "fits, reversed": lambda: np.zeros(shape, np.float32)[::-1] if shape else None,
        "fits, one number": lambda: np.broadcast_to(np.float32(0), shape),
        "fits, overlapping": overlapping,
        "fits, nan": lambda: np.full(shape, np.nan, np.float32),
        "fits, inf": lambda: np.full(shape, -np.inf, np.float32),
        "fits, huge": lambda: np.full(shape, 3e38, np.float32),
        "fits, list": lambda: np.zeros(shape).tolist(),
        "fits, list of arrays": lambda: list(np.zeros(shape, np.float32)) if shape else None,
    }

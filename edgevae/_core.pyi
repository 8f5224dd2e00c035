"""The C kernels as Python functions; edgevae/_core.pyx has their docstrings."""

from typing import SupportsIndex, TypedDict

import numpy as np
from numpy.typing import NDArray

_F32 = NDArray[np.float32]
_F64 = NDArray[np.float64]
_U8 = NDArray[np.uint8]
_U32 = NDArray[np.uint32]

MAX_DIRECTIONS: int

class Kernels(TypedDict):
    available: list[str]
    active: str

class Gate:
    def wait(self) -> None: ...
    def open(self) -> None: ...

def normal(
    rows: SupportsIndex,
    dims: SupportsIndex,
    *,
    seed: SupportsIndex,
    start: SupportsIndex = 0,
    first_dim: SupportsIndex = 0,
    purpose: SupportsIndex = 0,
    draw: SupportsIndex = 0,
    out: _F32 | None = None,
) -> _F32: ...
def mixture(
    rows: SupportsIndex,
    means: _F32,
    scales: _F32,
    thresholds: _U32,
    aliases: _U32,
    *,
    seed: SupportsIndex,
    start: SupportsIndex,
    temperature: float,
    out: _F32 | None,
) -> _F32: ...
def scale(logvar: _F32) -> _F32: ...
def reparameterize(
    mu: _F32,
    logvar: _F32,
    *,
    seed: SupportsIndex,
    start: SupportsIndex = 0,
    draws: SupportsIndex = 1,
    out: _F32 | None = None,
) -> _F32: ...
def pack(x: _F32, out: _U8 | None = None) -> _U8: ...
def squares(x: _F32, y: _F32, scale: _F32, out: _F32) -> _F64: ...
def distance(x: _F32, mean: _F32, matrix: _F32) -> _F64: ...
def divergence(mu: _F32, logvar: _F32) -> _F64: ...
def is_finite(x: _F32) -> bool: ...
def are_rows(x: object, item_shape: tuple[int, ...], low: float, high: float) -> bool: ...
def extremes(x: _F32) -> tuple[float, float]: ...
def current_core() -> int | None: ...
def kernels() -> Kernels: ...
def use_kernel(name: str | None) -> None: ...

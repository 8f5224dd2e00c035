"""The order in which the callers of a session use its device."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Turn(Protocol):
    """Calls a function with its arguments when the device is free; returns its result."""

    def __call__(self, function: Callable[..., T], *arguments: Any) -> T: ...


def at_once(function: Callable[..., T], *arguments: Any) -> T:
    """Call a function without waiting, as sessions on the CPU are called."""
    return function(*arguments)


def locked(lock: threading.Lock) -> Turn:
    """Return a turn of one caller at a time, each in its own thread."""

    def call(function: Callable[..., T], *arguments: Any) -> T:
        with lock:
            return function(*arguments)

    return call


def in_one_thread() -> Turn:
    """Return a turn that calls all functions in the same thread, one after another.

    onnxruntime asks for it in sessions with CUDA graphs, since each thread captures its own.
    """
    executor = ThreadPoolExecutor(1, "edgevae device")

    def call(function: Callable[..., T], *arguments: Any) -> T:
        return executor.submit(function, *arguments).result()

    return call

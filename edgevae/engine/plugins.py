"""Plugin providers: packages that bring an execution provider beside plain onnxruntime.

By onnxruntime's convention for them (onnxruntime.ai/docs/execution-providers/plugin-ep-libraries)
such a package is a module onnxruntime_ep_NAME, or onnxruntime_NAME, that ships one shared library
and has get_library_path() and get_ep_names(). It is found by that library, and not imported before
it is asked for: some write links or load a gigabyte when they are.
"""

import functools
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from edgevae.engine.ort import onnxruntime
from edgevae.errors import ProviderError


def installed() -> dict[str, str]:
    """The module of each plugin on Python's path, by the NAME in it."""
    found: dict[str, str] = {}
    for folder in (f for entry in sys.path for f in Path(entry).glob("onnxruntime_*")):
        if any(folder.glob("*onnxruntime_providers_*")):
            name = folder.name.removeprefix("onnxruntime_").removeprefix("ep_")
            found.setdefault(name, folder.name)
    return found


def library(module: str) -> Path:
    """The shared library that a plugin's module ships."""
    return Path(import_module(module).get_library_path())


@functools.cache
def register(module: str) -> tuple[str, ...]:
    """Loads a plugin into onnxruntime; returns onnxruntime's names of its providers.

    Raises `ProviderError` where this onnxruntime takes no plugins or not this one.
    """
    ort = onnxruntime()
    if not hasattr(ort, "register_execution_provider_library"):
        raise ProviderError(
            f"{module}: onnxruntime {ort.__version__} takes no plugins; pip install -U onnxruntime"
        )
    try:
        names = tuple(import_module(module).get_ep_names())
        if not set(names) & registered():  # by the caller, maybe
            ort.register_execution_provider_library(module, str(library(module)))
    except Exception as error:  # the package's own, or onnxruntime's, which have no other base
        raise ProviderError(
            f"{module} cannot be loaded by onnxruntime {ort.__version__}: {error}; "
            f"pip install -U onnxruntime {module.replace('_', '-')}"
        ) from error
    return names


def load(name: str) -> str | None:
    """Loads the plugin of that NAME; returns onnxruntime's name of its provider. None where there
    is no such plugin."""
    module = installed().get(name)
    return register(module)[0] if module else None


def registered() -> set[str]:
    """onnxruntime's names of the providers that list devices: its own that do, and plugins."""
    return {device.ep_name for device in _all_devices()}


def device(ort_name: str, kind: str | None = None) -> Any | None:
    """The device of a provider to run on: "CPU", "GPU" or "NPU", or by default the CPU where the
    provider has it, else its first. None where it has none of that kind here."""
    own = [device for device in _all_devices() if device.ep_name == ort_name]
    first = {device.device.type.name: device for device in own[::-1]}
    if kind is not None:
        return first.get(kind)
    return first.get("CPU") or next(iter(own), None)


def seen() -> str:
    """The devices that onnxruntime sees, in words, as "CPU of AMD"."""
    found = (f"{d.device.type.name} of {d.device.vendor or 'unknown make'}" for d in _all_devices())
    return ", ".join(dict.fromkeys(found))


def _all_devices() -> list[Any]:
    ort = onnxruntime()
    return list(ort.get_ep_devices()) if hasattr(ort, "get_ep_devices") else []

"""Plugin providers: packages that add an execution provider to plain onnxruntime.

By onnxruntime's convention (onnxruntime.ai/docs/execution-providers/plugin-ep-libraries) such a
package is a module onnxruntime_ep_NAME, or onnxruntime_NAME, that ships one shared library and has
get_library_path() and get_ep_names(). A plugin is recognised by its library and is imported only
when a caller asks for it, because some create links or load a gigabyte at import.
"""

import functools
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from edgevae.engine.ort import onnxruntime
from edgevae.errors import ProviderError


def installed() -> dict[str, str]:
    """Return the modules of the plugins on Python's path, by their NAMEs."""
    modules: dict[str, str] = {}
    for folder in (f for entry in sys.path for f in Path(entry).glob("onnxruntime_*")):
        if any(folder.glob("*onnxruntime_providers_*")):
            name = folder.name.removeprefix("onnxruntime_").removeprefix("ep_")
            modules.setdefault(name, folder.name)
    return modules


def library(module: str) -> Path:
    """Return the path of the shared library that a plugin's module ships."""
    return Path(import_module(module).get_library_path())


@functools.cache
def register(module: str) -> tuple[str, ...]:
    """Load a plugin into onnxruntime; return onnxruntime's names of its providers.

    Raises `ProviderError` if this onnxruntime does not support plugins, or not this one.
    """
    ort = onnxruntime()
    if not hasattr(ort, "register_execution_provider_library"):
        raise ProviderError(
            f"{module}: onnxruntime {ort.__version__} takes no plugins; pip install -U onnxruntime"
        )
    try:
        names = tuple(import_module(module).get_ep_names())
        if not set(names) & registered():  # the caller may have registered it
            ort.register_execution_provider_library(module, str(library(module)))
    except Exception as error:  # of the package or of onnxruntime, which have no closer base
        raise ProviderError(
            f"{module} cannot be loaded by onnxruntime {ort.__version__}: {error}; "
            f"pip install -U onnxruntime {module.replace('_', '-')}"
        ) from error
    return names


def load(name: str) -> str | None:
    """Load the plugin of this NAME; return onnxruntime's name of its provider.

    Returns None if there is no such plugin.
    """
    module = installed().get(name)
    return register(module)[0] if module else None


def registered() -> set[str]:
    """Return onnxruntime's names of the providers that list devices, plugins included."""
    return {device.ep_name for device in _all_devices()}


def device(ort_name: str, kind: str | None = None) -> Any | None:
    """Return the device of a provider to run on; None if it has none of that kind here.

    `kind` is "CPU", "GPU" or "NPU". None takes the provider's CPU if it lists one, else its first
    device.
    """
    own = [device for device in _all_devices() if device.ep_name == ort_name]
    first = {device.device.type.name: device for device in own[::-1]}
    if kind is not None:
        return first.get(kind)
    return first.get("CPU") or next(iter(own), None)


def devices_in_words() -> str:
    """Return the devices that onnxruntime lists, such as "CPU of AMD"."""
    names = (f"{d.device.type.name} of {d.device.vendor or 'unknown make'}" for d in _all_devices())
    return ", ".join(dict.fromkeys(names))


def _all_devices() -> list[Any]:
    ort = onnxruntime()
    return list(ort.get_ep_devices()) if hasattr(ort, "get_ep_devices") else []

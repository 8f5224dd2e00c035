"""The one door to onnxruntime: opened when it is first needed, with its telemetry off.

Several distributions on PyPI (onnxruntime, onnxruntime-gpu, onnxruntime-openvino ...) install the
same folder `onnxruntime`. Two of them overwrite each other's files, and to remove one removes
files of the other; what is left may still be imported.
"""

import functools
import os
from typing import Any

from edgevae.errors import ProviderError


@functools.cache
def onnxruntime() -> Any:
    """The module onnxruntime: whoever needs it takes it from here.

    Raises `ProviderError` where it is missing or broken.
    """
    # Read once, when it is imported: from 1.32 on, onnxruntime for Linux too keeps an identifier
    # of the device, uploads events, and with that thread hangs forked children at their exit.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime  # type: ignore[import-untyped]
    except ImportError as error:
        raise ProviderError(
            f"onnxruntime cannot be imported: {error}; {clash() or _reinstall()}"
        ) from error
    if not hasattr(onnxruntime, "InferenceSession"):
        raise ProviderError(
            f"onnxruntime is only what the removal of another distribution left of it, in "
            f"{', '.join(onnxruntime.__path__)}; {clash() or _reinstall()}"
        )
    onnxruntime.disable_telemetry_events()
    return onnxruntime


def distributions() -> dict[str, str]:
    """Name and version of each installed distribution that holds the folder onnxruntime."""
    from importlib.metadata import distributions as installed

    found = {}
    for one in installed():
        name = (one.metadata["Name"] or "").lower().replace("_", "-")
        if name.startswith("onnxruntime") and any(
            file.parts[:2] == ("onnxruntime", "__init__.py") for file in one.files or ()
        ):
            found[name] = one.version
    return dict(sorted(found.items()))


def clash() -> str | None:
    """What is wrong where several distributions share the folder, and the commands that mend it."""
    found = distributions()
    if len(found) < 2:
        return None
    keep = next(name for name in [*found][::-1] if name != "onnxruntime")
    both = " and ".join(f"{name} {version}" for name, version in found.items())
    return (
        f"{both} are installed and overwrite each other's files: keep one, by "
        f"`pip uninstall -y {' '.join(found)} && pip install {keep}`"
    )


def _reinstall() -> str:
    if found := distributions():
        return f"pip install --force-reinstall --no-deps {' '.join(found)}"
    return "pip install onnxruntime"

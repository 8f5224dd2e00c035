"""Import onnxruntime, on first use and with its telemetry off, and explain a broken installation.

Several distributions on PyPI (onnxruntime, onnxruntime-gpu, onnxruntime-openvino ...) install the
same folder `onnxruntime`. If two are installed, they overwrite each other's files, and removing
one removes files of the other. The remaining files may still import.
"""

import functools
import os
from typing import Any

from edgevae.errors import ProviderError


@functools.cache
def onnxruntime() -> Any:
    """Return the module onnxruntime; all of edgevae imports it through this function.

    Raises `ProviderError` if it is missing or broken.
    """
    # onnxruntime reads this variable once, at import. From 1.32 on it stores an identifier of the
    # device and uploads events on Linux too, by a thread that hangs forked children at their exit.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime  # type: ignore[import-untyped]
    except ImportError as error:
        raise ProviderError(
            f"onnxruntime cannot be imported: {error}; {clash() or _reinstall()}"
        ) from error
    if not hasattr(onnxruntime, "InferenceSession"):
        raise ProviderError(
            f"onnxruntime is incomplete, since another distribution of it was removed, in "
            f"{', '.join(onnxruntime.__path__)}; {clash() or _reinstall()}"
        )
    onnxruntime.disable_telemetry_events()
    return onnxruntime


def distributions() -> dict[str, str]:
    """Return the version of each installed distribution that holds the folder onnxruntime."""
    from importlib.metadata import distributions as installed

    versions = {}
    for distribution in installed():
        name = (distribution.metadata["Name"] or "").lower().replace("_", "-")
        if name.startswith("onnxruntime") and any(
            file.parts[:2] == ("onnxruntime", "__init__.py") for file in distribution.files or ()
        ):
            versions[name] = distribution.version
    return dict(sorted(versions.items()))


def clash() -> str | None:
    """Return a description of distributions that share the folder, with the commands to repair it.

    None if there is at most one distribution.
    """
    versions = distributions()
    if len(versions) < 2:
        return None
    keep = next(name for name in [*versions][::-1] if name != "onnxruntime")
    both = " and ".join(f"{name} {version}" for name, version in versions.items())
    return (
        f"{both} are installed and overwrite each other's files: keep one, by "
        f"`pip uninstall -y {' '.join(versions)} && pip install {keep}`"
    )


def _reinstall() -> str:
    if names := distributions():
        return f"pip install --force-reinstall --no-deps {' '.join(names)}"
    return "pip install onnxruntime"

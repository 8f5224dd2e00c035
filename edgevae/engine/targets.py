"""The targets of graphs that suit an execution provider on this machine."""

import functools

from edgevae.bundle import ANY

GENERIC = "generic"  # the target of graphs that were rewritten for providers other than the CPU's
_ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64"}  # the names on Windows and macOS


@functools.cache
def architecture() -> str:
    """Return the architecture of this process, as targets name it: "x86_64", "aarch64", ..."""
    import platform

    machine = platform.machine().lower()
    return _ARCHITECTURES.get(machine, machine)


def targets(provider: str) -> tuple[str, ...]:
    """Return the targets that suit a provider, the most suitable first.

    `provider` is a short name, such as "cpu", or those of a session's providers.
    """
    return (architecture() if provider == "cpu" else GENERIC, ANY)

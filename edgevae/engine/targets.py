"""The targets of graphs that suit an execution provider on this machine."""

import functools

from edgevae.bundle import ANY, GraphEntry

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


def why(entry: GraphEntry, provider: str, tuned: str | None = None) -> str:
    """Return in words why a provider runs the graph of an entry.

    `tuned` is the target whose graph `edgevae tune` found the fastest, if it measured them.
    """
    if entry.target == tuned:
        return f"{tuned}, the fastest that `edgevae tune` measured"
    if provider == "cpu":
        here = architecture()
        if entry.target == here:
            return f"{here}, as this machine is one"
        return f"{entry.target}, since the bundle has none for {here} in {entry.precision}"
    if entry.target == GENERIC:
        return f"{GENERIC}, as provider {provider} is not the CPU's"
    return f"{entry.target}, since provider {provider} takes no graph made for the CPU"

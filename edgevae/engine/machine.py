"""This machine's processor, and the number of threads that this process may use.

The number follows the process's affinity and its cgroup's CPU quota. The number of the host's cores
would be wrong in a container, where it includes cores that others use.
"""

import functools
import os
from collections.abc import Iterator
from pathlib import Path


@functools.cache
def cpu_name() -> str:
    """Return the name of the processor."""
    import platform

    try:
        with open("/proc/cpuinfo") as lines:
            names = (
                line.partition(":")[2].strip() for line in lines if line.startswith("model name")
            )
            return next(names)
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def usable_threads() -> int:
    """Return how many threads this process can keep busy, at least 1.

    A quota of 2.5 cores gives 2: one thread more would be throttled while the others spin.
    """
    return max(1, int(min([_allowed_cores(), *_own_quotas()])))


def why_threads() -> str:
    """Return the reason for the number of `usable_threads`, in words."""
    cores, allowed = os.cpu_count() or 1, _allowed_cores()
    quota = min(_own_quotas(), default=float(allowed))
    if quota < allowed:
        return f"the cgroup's CPU quota of {quota:g} cores, below the {allowed} that are allowed"
    return f"all {cores} cores" if allowed == cores else f"affinity, to {allowed} of {cores} cores"


def _allowed_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _own_quotas() -> Iterator[float]:
    return _quotas(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup"))


def _quotas(membership: Path, root: Path) -> Iterator[float]:
    """Yield the CPU quotas, in cores, of this process's cgroups and of their ancestors.

    Version 2 states a quota as "quota period" in cpu.max, version 1 in two files. Inside a
    container the path of a group may be the host's, which is not mounted: missing folders are
    skipped, up to the root of the mount.
    """
    for line in (_content(membership) or "").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            mounts = [root, root / "unified"]
        elif "cpu" in controllers.split(","):
            mounts = [root / "cpu", root / controllers]
        else:
            continue
        group = Path(path.lstrip("/"))
        for folder in (mount / up for mount in mounts for up in (group, *group.parents)):
            quota, period = _limit(folder)
            if quota.isdecimal() and period.isdecimal() and int(period):
                yield int(quota) / int(period)


def _limit(folder: Path) -> tuple[str, str]:
    """Return quota and period as written; the quota is "max" or "-1" if there is no limit."""
    quota, _, period = (_content(folder / "cpu.max") or "").partition(" ")
    return (
        quota or _content(folder / "cpu.cfs_quota_us") or "",
        period or _content(folder / "cpu.cfs_period_us") or "",
    )


def _content(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None

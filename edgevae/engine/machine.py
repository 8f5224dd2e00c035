"""How many threads this process may use: by its affinity and by its cgroup's CPU quota.

The host's count of cores is neither: inside a container it promises cores that others use.
"""

import os
from collections.abc import Iterator
from pathlib import Path


def usable_threads() -> int:
    """Threads that this process can keep busy, at least 1.

    A quota of 2.5 cores gives 2: a thread more would be throttled while the others spin.
    """
    return max(1, int(min([_allowed_cores(), *_own_quotas()])))


def why_threads() -> str:
    """In words, what `usable_threads` follows."""
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
    """The CPU quotas, in cores, of this process's cgroups and of all that hold them.

    Version 2 states one as "quota period" in cpu.max, version 1 in two files. Inside a container
    the path of a group may be that of the host, which is not mounted: what is missing is passed
    over, up to the root of the mount.
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
    """Quota and period as written; the quota is "max" or "-1" where there is none."""
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

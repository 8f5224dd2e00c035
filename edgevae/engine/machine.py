"""This machine's board and processor, and the number of threads that this process may use.

The number follows the process's affinity and its cgroup's CPU quota. The number of the host's cores
would be wrong in a container, where it includes cores that others use.
"""

import functools
import os
from collections.abc import Iterator
from pathlib import Path

# The most threads that a caller may ask for. onnxruntime takes many seconds to start more.
MOST_THREADS = 512

# Arm's names of processors by (implementer, part) of /proc/cpuinfo, of those that are common on
# boards and in data centres.
_ARM_CORES = {
    ("0x41", "0xc07"): "Cortex-A7",
    ("0x41", "0xd03"): "Cortex-A53",
    ("0x41", "0xd04"): "Cortex-A35",
    ("0x41", "0xd05"): "Cortex-A55",
    ("0x41", "0xd07"): "Cortex-A57",
    ("0x41", "0xd08"): "Cortex-A72",
    ("0x41", "0xd09"): "Cortex-A73",
    ("0x41", "0xd0b"): "Cortex-A76",
    ("0x41", "0xd0c"): "Neoverse-N1",
    ("0x41", "0xd40"): "Neoverse-V1",
    ("0x41", "0xd41"): "Cortex-A78",
    ("0x41", "0xd42"): "Cortex-A78AE",
    ("0x41", "0xd49"): "Neoverse-N2",
    ("0x41", "0xd4f"): "Neoverse-V2",
}


@functools.cache
def cpu_name() -> str:
    """Return the name of the board, if it has one, and of the processor.

    An example is "Raspberry Pi 5 Model B Rev 1.0, Cortex-A76". Machines that differ in speed have
    different names, as far as the system tells them apart.
    """
    import platform

    cpu = _processor(_content(Path("/proc/cpuinfo")) or "")
    return _with_board(
        cpu or platform.processor() or platform.machine(),
        _content(Path("/proc/device-tree/model")) or "",
    )


def _with_board(processor: str, model: str) -> str:
    """Return the names of the board and its processor; `model` is the device tree's, or ""."""
    board = model.strip("\0 \n")  # a device tree's strings end with a zero
    return f"{board}, {processor}" if board else processor


def _processor(cpuinfo: str) -> str:
    """Return the processor's name by the text of /proc/cpuinfo; "" if the text has none.

    That is its "model name" or, on Arm, the kinds of its cores by their implementer and part.
    """
    blocks = [_fields(block) for block in cpuinfo.split("\n\n")]
    for fields in blocks:
        if "model name" in fields and "CPU part" not in fields:
            return fields["model name"]
    cores = [
        (fields.get("CPU implementer", "unknown"), fields["CPU part"])
        for fields in blocks
        if "CPU part" in fields
    ]
    names = [_ARM_CORES.get(core, "Arm implementer {} part {}".format(*core)) for core in cores]
    return " and ".join(dict.fromkeys(names))  # several kinds in big.LITTLE processors


def _fields(block: str) -> dict[str, str]:
    """Return the fields of a block of /proc/cpuinfo, which describes one core or the machine."""
    pairs = (line.partition(":") for line in block.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


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
        return path.read_text(errors="replace").strip()
    except OSError:
        return None

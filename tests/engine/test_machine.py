"""The processor's name, and the threads that this process may use."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgevae import vae
from edgevae.cli import options
from edgevae.engine import machine
from edgevae.errors import InputError


def arm_cores(*parts: str, implementer: str = "0x41", more: str = "") -> str:
    """Return the text of /proc/cpuinfo of an Arm processor, one block for each core."""
    return "".join(
        f"processor\t: {i}\n{more}BogoMIPS\t: 108.00\nFeatures\t: fp asimd crc32\n"
        f"CPU implementer\t: {implementer}\nCPU architecture: 8\nCPU variant\t: 0x0\n"
        f"CPU part\t: {part}\nCPU revision\t: 3\n\n"
        for i, part in enumerate(parts)
    )


X86 = "processor\t: 0\nvendor_id\t: AuthenticAMD\nmodel name\t: AMD EPYC 7B13\nflags\t: fpu\n\n"


@pytest.mark.parametrize(
    ("cpuinfo", "name"),
    [
        (X86 + X86.replace(": 0", ": 1"), "AMD EPYC 7B13"),
        (arm_cores(*["0xd03"] * 4), "Cortex-A53"),
        (arm_cores(*["0xd08"] * 4) + "Model\t\t: Raspberry Pi 4 Model B Rev 1.4\n", "Cortex-A72"),
        (arm_cores("0xd0b"), "Cortex-A76"),
        (arm_cores("0xd0b", more="model name\t: ARMv8 Processor rev 1 (v8l)\n"), "Cortex-A76"),
        (arm_cores("0xd05", "0xd05", "0xd0b"), "Cortex-A55 and Cortex-A76"),
        (arm_cores("0x022", implementer="0x61"), "Arm implementer 0x61 part 0x022"),
        ("", ""),
        ("processor\t: 0\nhart\t: 1\n", ""),
    ],
)
def test_the_processor_is_named_by_its_model_or_by_its_cores(cpuinfo, name):
    assert machine._processor(cpuinfo) == name


def test_boards_with_the_same_processor_have_different_names():
    assert machine._with_board("Cortex-A72", "") == "Cortex-A72"
    assert machine._with_board("Cortex-A72", "Raspberry Pi 4 Model B Rev 1.4\0") == (
        "Raspberry Pi 4 Model B Rev 1.4, Cortex-A72"
    )


def test_this_machine_has_a_name():
    assert machine.cpu_name().strip()


@pytest.fixture
def cgroup(tmp_path):
    """Write /proc/self/cgroup and files under /sys/fs/cgroup; return the quotas read from them."""

    def make(membership: str, files: dict[str, str]) -> list[float]:
        (tmp_path / "membership").write_text(membership)
        for name, content in files.items():
            file = tmp_path / "root" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content + "\n")
        return list(machine._quotas(tmp_path / "membership", tmp_path / "root"))

    return make


V1 = "4:memory:/app\n3:cpu,cpuacct:/app/web\n1:name=systemd:/app\n0::/\n"


@pytest.mark.parametrize(
    ("membership", "files", "quotas"),
    [
        pytest.param("0::/\n", {"cpu.max": "150000 100000"}, [1.5], id="v2, in a container"),
        pytest.param(
            "0::/a/b\n",
            {"a/b/cpu.max": "max 100000", "a/cpu.max": "200000 100000"},
            [2.0],
            id="v2, limited by the parent",
        ),
        pytest.param(
            "0::/a/b\n",
            {"a/b/cpu.max": "50000 100000", "a/cpu.max": "300000 100000"},
            [0.5, 3.0],
            id="v2, limited twice",
        ),
        pytest.param(
            "0::/../host\n", {"cpu.max": "400000 100000"}, [4.0], id="v2, host path not mounted"
        ),
        pytest.param(
            V1,
            {"cpu/app/web/cpu.cfs_quota_us": "250000", "cpu/app/web/cpu.cfs_period_us": "100000"},
            [2.5],
            id="v1",
        ),
        pytest.param(
            V1,
            {"cpu,cpuacct/cpu.cfs_quota_us": "100000", "cpu,cpuacct/cpu.cfs_period_us": "50000"},
            [2.0],
            id="v1, host path not mounted",
        ),
        pytest.param(
            V1,
            {"cpu/app/web/cpu.cfs_quota_us": "-1", "cpu/app/web/cpu.cfs_period_us": "100000"},
            [],
            id="v1, no limit",
        ),
        pytest.param("0::/\n", {}, [], id="nothing mounted"),
    ],
)
def test_quotas(cgroup, membership, files, quotas):
    assert cgroup(membership, files) == quotas


def test_no_cgroups_at_all(tmp_path):
    assert list(machine._quotas(tmp_path / "none", tmp_path)) == []


@pytest.mark.parametrize(
    ("quotas", "count", "why"),
    [
        ([], 3, "affinity, to 3 of 8 cores"),
        ([2.9], 2, "the cgroup's CPU quota of 2.9 cores, below the 3 that are allowed"),
        ([4.0, 0.2], 1, "the cgroup's CPU quota of 0.2 cores, below the 3 that are allowed"),
        ([8.0], 3, "affinity, to 3 of 8 cores"),
    ],
)
def test_threads_are_the_least_of_affinity_and_quota(monkeypatch, quotas, count, why):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2}, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(machine, "_quotas", lambda *paths: iter(quotas))
    assert machine.usable_threads() == count
    assert machine.why_threads() == why


def test_all_cores_are_called_so(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1}, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(machine, "_quotas", lambda *paths: iter([]))
    assert machine.why_threads() == "all 2 cores"


SAY = "from edgevae.engine import machine as m; print(m.usable_threads(), m.why_threads())"


def said_by(*command: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(Path(machine.__file__).parents[2])}
    done = subprocess.run(
        [*command, sys.executable, "-c", SAY],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(shutil.which("taskset") is None, reason="there is no taskset here")
def test_threads_follow_taskset():
    one = str(min(os.sched_getaffinity(0)))
    assert said_by("taskset", "-c", one).startswith("1 ")


def limited_group(root: str, limits: dict[str, str]) -> Path | None:
    """Create a cgroup of this machine with these limits; return None if that is not possible."""
    if not Path(root, "cgroup.procs").is_file():
        return None
    group = Path(root, f"edgevae-test-{os.getpid()}")
    try:
        group.mkdir()
    except OSError:
        return None
    try:
        for name, value in limits.items():
            (group / name).write_text(value)
    except OSError:  # this hierarchy does not share out the cores
        group.rmdir()
        return None
    return group


@pytest.fixture
def limited() -> Iterator[Path]:
    """A cgroup whose quota is 1.2 cores, by version 2 or 1."""
    if os.cpu_count() == 1:
        pytest.skip("one core is no more than the least quota")
    v1 = {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "120000"}
    group = limited_group("/sys/fs/cgroup", {"cpu.max": "120000 100000"}) or limited_group(
        "/sys/fs/cgroup/cpu", v1
    )
    if group is None:
        pytest.skip("no cgroup with a CPU quota can be made: it takes root and its controller")
    yield group
    group.rmdir()


def test_threads_follow_a_quota_of_this_machine(limited):
    join = f'echo $$ > {limited}/cgroup.procs && exec "$@"'
    assert said_by("sh", "-c", join, "sh").startswith("1 the cgroup's CPU quota of 1.2 cores")


def test_threads_are_bounded_and_the_command_line_has_the_same_bound(tiny_paths):
    assert options.MOST_THREADS == machine.MOST_THREADS
    with pytest.raises(InputError, match="threads: expected a whole number from 1 to 512"):
        vae.load(tiny_paths["grey"], threads=machine.MOST_THREADS + 1)

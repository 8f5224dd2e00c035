"""Examine a machine: what runs here, what does not, and what to do about it.

Whatever could end a process, as an instruction that this processor does not have, is tried in a
process of its own, and explained.
"""

import os
import platform
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from edgevae import bundle
from edgevae._core import kernels
from edgevae.engine import cuda, machine, ort, plugins, providers

OK, NOTE, PROBLEM = "ok", "note", "problem"

# What a kernel of ours or of onnxruntime's asks a processor for, as /proc/cpuinfo calls it.
_FEATURES = (
    *("sse2", "sse4_1", "avx", "avx2", "fma", "f16c", "avx_vnni"),
    *("avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8"),
    *("asimd", "asimddp", "i8mm", "bf16", "sve"),
)

_ILLEGAL_INSTRUCTION = 0xC000001D  # as Windows reports it


class Finding(NamedTuple):
    """`level` is OK, NOTE (not as it could be) or PROBLEM, for which `fix` says what to do."""

    level: str
    topic: str
    says: str
    fix: str = ""

    def __str__(self) -> str:
        line = f"{self.level:<8} {self.topic}: {self.says}"
        return f"{line}\n{'':<8} -> {self.fix}" if self.fix else line


def examine() -> list[Finding]:
    """All findings; what needs onnxruntime is left out where that cannot be imported."""
    findings = [_processor(), _kernel(), _threads(), *_distributions(), _import()]
    if findings[-1].level == OK:
        findings += [*_plugins(), *_cuda()]
        findings += [_verified(name, p) for name in bundle.names() for p in providers.available()]
    return findings


def _processor() -> Finding:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    flags = {
        flag
        for line in lines
        if line.lower().startswith(("flags", "features"))
        for flag in line.partition(":")[2].split()
    }
    has = " ".join(feature for feature in _FEATURES if feature in flags)
    return Finding(
        OK, "processor", f"{machine.cpu_name()}, {platform.machine()}: {has or 'unknown'}"
    )


def _kernel() -> Finding:
    found = kernels()
    says = f"{found['active']}, of {', '.join(found['available'])}"
    if forced := os.environ.get("EDGEVAE_KERNEL"):
        return Finding(NOTE, "kernel", f"{says}, forced by EDGEVAE_KERNEL={forced}")
    return Finding(OK, "kernel", says)


def _threads() -> Finding:
    return Finding(OK, "threads", f"{machine.usable_threads()}: {machine.why_threads()}")


def _distributions() -> Iterator[Finding]:
    found = ort.distributions()
    told = ", ".join(f"{name} {version}" for name, version in found.items())
    if wrong := ort.clash():
        yield Finding(PROBLEM, "distributions", *wrong.split(": ", 1))
    elif found:
        yield Finding(OK, "distributions", told)
    else:
        yield Finding(NOTE, "distributions", "pip knows of no onnxruntime: a build of your own?")


def _import() -> Finding:
    done = _python("-c", "from edgevae.engine import ort; print(ort.onnxruntime().__version__)")
    if not done.returncode:
        return Finding(OK, "onnxruntime", done.stdout.strip())
    if done.returncode in (-getattr(signal, "SIGILL", 4), _ILLEGAL_INSTRUCTION):
        return Finding(
            PROBLEM,
            "onnxruntime",
            "its import is ended by an illegal instruction: it was built for processors that have "
            "more than this one",
            "install another version (pip install 'onnxruntime<1.20'), or build it here",
        )
    says, _, fix = _last_line(done).partition("; ")
    return Finding(PROBLEM, "onnxruntime", says, fix or "pip install onnxruntime")


def _plugins() -> Iterator[Finding]:
    for name, module in plugins.installed().items():
        code = f"from edgevae.engine import plugins; print(plugins.register({module!r}))"
        tried = _python("-c", code)
        if tried.returncode:
            says, _, fix = _last_line(tried).partition("; ")
            yield Finding(PROBLEM, f"plugin {name}", says, fix)
        else:
            yield Finding(OK, f"plugin {name}", f"{module} loads")


def _cuda() -> Iterator[Finding]:
    if not set(cuda.PROVIDERS) & set(providers.available()):
        return
    if lacking := cuda.missing():
        fix = "pip install 'onnxruntime-gpu[cuda,cudnn]', and NVIDIA's driver from the system"
        yield Finding(PROBLEM, "cuda", f"{', '.join(lacking)} cannot be loaded", fix)
    else:
        yield Finding(OK, "cuda", "its libraries can be loaded")


def _verified(name: str, provider: str) -> Finding:
    """Whether a shipped bundle computes what it should on a provider."""
    topic = f"{name} on {provider}"
    done = _python("-m", "edgevae", "verify", name, "--provider", provider)
    if not done.returncode:
        return Finding(OK, topic, "verifies")
    # What comes along with a wheel may well lack its hardware; what auto takes, or somebody
    # installed by itself, should not.
    wanted = provider in ("cpu", "cuda") or provider in plugins.installed()
    level = PROBLEM if wanted or done.returncode != 5 else NOTE
    says, _, fix = _last_line(done).removeprefix("edgevae: ").partition("; ")
    return Finding(level, topic, says, fix)


def _python(*arguments: str) -> subprocess.CompletedProcess[str]:
    paths = str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")
    return subprocess.run(
        [sys.executable, "-P", *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        capture_output=True,
        text=True,
        check=False,
    )


def _last_line(done: subprocess.CompletedProcess[str]) -> str:
    if done.returncode < 0:
        return f"the process was ended by {signal.Signals(-done.returncode).name}"
    lines = done.stderr.strip().splitlines() or [f"the process ended with {done.returncode}"]
    return lines[-1].partition("edgevae.errors.ProviderError: ")[2] or lines[-1]

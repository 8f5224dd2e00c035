"""Examine a machine: what works, what does not, and what to do about it.

Everything that may end a process, such as an instruction that the processor does not have, is
tried in a fresh process, whose end is explained.
"""

import os
import platform
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from edgevae import bundle
from edgevae._core import kernels
from edgevae.diagnostics.fresh_process import run_python
from edgevae.engine import cuda, machine, ort, plugins, providers

OK, NOTE, PROBLEM = "ok", "note", "problem"

# The processor's features that kernels of edgevae and of onnxruntime use, as in /proc/cpuinfo.
_FEATURES = (
    *("sse2", "sse4_1", "avx", "avx2", "fma", "f16c", "avx_vnni"),
    *("avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8"),
    *("asimd", "asimddp", "i8mm", "bf16", "sve"),
)

# The exit status on Windows of a process that an illegal instruction ended.
_ILLEGAL_INSTRUCTION = 0xC000001D
# The exit status of `edgevae` if a provider is not available.
_NO_PROVIDER = 5


class Finding(NamedTuple):
    """One examined topic.

    `level` is OK, NOTE for something that works but could be better or is unusual, or PROBLEM, for
    which `fix` states what to do. `says` is the description.
    """

    level: str
    topic: str
    says: str
    fix: str = ""

    def __str__(self) -> str:
        line = f"{self.level:<8} {self.topic}: {self.says}"
        return f"{line}\n{'':<8} -> {self.fix}" if self.fix else line


def examine() -> list[Finding]:
    """Return all findings, without those that need onnxruntime if it cannot be imported."""
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
    features = " ".join(feature for feature in _FEATURES if feature in flags) or "unknown"
    return Finding(OK, "processor", f"{machine.cpu_name()}, {platform.machine()}: {features}")


def _kernel() -> Finding:
    known = kernels()
    says = f"{known['active']}, of {', '.join(known['available'])}"
    if forced := os.environ.get("EDGEVAE_KERNEL"):
        return Finding(NOTE, "kernel", f"{says}, forced by EDGEVAE_KERNEL={forced}")
    return Finding(OK, "kernel", says)


def _threads() -> Finding:
    return Finding(OK, "threads", f"{machine.usable_threads()}: {machine.why_threads()}")


def _distributions() -> Iterator[Finding]:
    installed = ort.distributions()
    if clash := ort.clash():
        yield Finding(PROBLEM, "distributions", *clash.split(": ", 1))
    elif installed:
        versions = ", ".join(f"{name} {version}" for name, version in installed.items())
        yield Finding(OK, "distributions", versions)
    else:
        yield Finding(
            NOTE, "distributions", "pip lists no onnxruntime; it may have been built from source"
        )


def _import() -> Finding:
    done = run_python("-c", "from edgevae.engine import ort; print(ort.onnxruntime().__version__)")
    if not done.returncode:
        return Finding(OK, "onnxruntime", done.stdout.strip())
    if done.returncode in (-getattr(signal, "SIGILL", 4), _ILLEGAL_INSTRUCTION):
        return Finding(
            PROBLEM,
            "onnxruntime",
            "its import is ended by an illegal instruction: it was built for processors with more "
            "instructions than this one has",
            "install another version (pip install 'onnxruntime<1.20'), or build it on this machine",
        )
    says, fix = _reason(done)
    return Finding(PROBLEM, "onnxruntime", says, fix or "pip install onnxruntime")


def _plugins() -> Iterator[Finding]:
    for name, module in plugins.installed().items():
        code = f"from edgevae.engine import plugins; print(plugins.register({module!r}))"
        done = run_python("-c", code)
        if done.returncode:
            yield Finding(PROBLEM, f"plugin {name}", *_reason(done))
        else:
            yield Finding(OK, f"plugin {name}", f"{module} loads")


def _cuda() -> Iterator[Finding]:
    if not set(cuda.PROVIDERS) & set(providers.available()):
        return
    if missing := cuda.missing():
        fix = "pip install 'onnxruntime-gpu[cuda,cudnn]', and install NVIDIA's driver"
        yield Finding(PROBLEM, "cuda", f"{', '.join(missing)} cannot be loaded", fix)
    else:
        yield Finding(OK, "cuda", "its libraries can be loaded")


def _verified(name: str, provider: str) -> Finding:
    """Return the finding whether a shipped bundle verifies on a provider."""
    topic = f"{name} on {provider}"
    done = run_python("-m", "edgevae", "verify", name, "--provider", provider)
    if not done.returncode:
        return Finding(OK, topic, "verifies")
    # A wheel of onnxruntime may contain providers for hardware that this machine does not have.
    # The providers that "auto" chooses, and installed plugins, should work.
    expected = provider in ("cpu", "cuda") or provider in plugins.installed()
    level = PROBLEM if expected or done.returncode != _NO_PROVIDER else NOTE
    return Finding(level, topic, *_reason(done))


def _reason(done: "subprocess.CompletedProcess[str]") -> tuple[str, str]:
    """Return the reason why a process failed, and the fix, "" if its last line states none."""
    if done.returncode < 0:
        return f"the process was ended by {signal.Signals(-done.returncode).name}", ""
    lines = done.stderr.strip().splitlines() or [f"the process ended with {done.returncode}"]
    line = lines[-1].partition("edgevae.errors.ProviderError: ")[2] or lines[-1]
    reason, _, fix = line.removeprefix("edgevae: ").partition("; ")
    return reason, fix

"""Examine a machine: what works, what does not, and what to do about it.

Everything that may end a process, such as an instruction that the processor does not have, is
tried in a fresh process, whose end is explained.
"""

import os
import platform
from collections.abc import Iterator
from pathlib import Path

from edgevae import bundle
from edgevae._core import kernels
from edgevae.diagnostics.finding import NOTE, OK, PROBLEM, Finding, of_import, reason
from edgevae.diagnostics.fresh_process import run_python
from edgevae.engine import cuda, machine, ort, plugins, providers

# The processor's features that kernels of edgevae and of onnxruntime use, as in /proc/cpuinfo.
_FEATURES = (
    *("sse2", "sse4_1", "avx", "avx2", "fma", "f16c", "avx_vnni"),
    *("avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8"),
    *("asimd", "asimddp", "i8mm", "bf16", "sve"),
)

# The exit status of `edgevae` if a provider is not available.
_NO_PROVIDER = 5


def examine() -> list[Finding]:
    """Return all findings, without those that need onnxruntime if it cannot be imported."""
    findings = [_processor(), _kernel(), _threads(), *_distributions(), _import()]
    if findings[-1].level == OK:
        findings += [*_plugins(), *_cuda()]
        findings += _verifications()
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
    return of_import(
        "onnxruntime",
        "from edgevae.engine import ort; print(ort.onnxruntime().__version__)",
        "it was built for processors with more instructions than this one has",
        "install another version (pip install 'onnxruntime<1.20'), or build it on this machine",
        "pip install onnxruntime",
    )


def _plugins() -> Iterator[Finding]:
    for name, module in plugins.installed().items():
        code = f"from edgevae.engine import plugins; print(plugins.register({module!r}))"
        done = run_python("-c", code)
        if done.returncode:
            yield Finding(PROBLEM, f"plugin {name}", *reason(done))
        else:
            yield Finding(OK, f"plugin {name}", f"{module} loads")


def _cuda() -> Iterator[Finding]:
    if not set(cuda.PROVIDERS) & set(providers.available()):
        return
    if missing := cuda.missing():
        yield Finding(PROBLEM, "cuda", f"{', '.join(missing)} cannot be loaded", cuda.fix(missing))
    else:
        yield Finding(OK, "cuda", "its libraries can be loaded")


def _verifications() -> Iterator[Finding]:
    """Verify each shipped bundle on each provider in each precision that the bundle holds."""
    for name in bundle.names():
        precisions = bundle.read(bundle.find(name)).precisions
        for provider in providers.available():
            yield from (_verified(name, provider, precision) for precision in precisions)


def _verified(name: str, provider: str, precision: str) -> Finding:
    """Return the finding whether a shipped bundle verifies on a provider in a precision."""
    topic = f"{name} on {provider}" + ("" if precision == "float32" else f" in {precision}")
    arguments = ("verify", name, "--provider", provider, "--precision", precision)
    done = run_python("-m", "edgevae", *arguments)
    if not done.returncode:
        return Finding(OK, topic, "verifies")
    # A wheel of onnxruntime may contain providers for hardware that this machine does not have.
    # The providers that "auto" chooses, and installed plugins, should work in float32. Others may
    # refuse a precision, with the reason.
    expected = provider in ("cpu", "cuda") or provider in plugins.installed()
    refused = done.returncode == _NO_PROVIDER
    if refused and (not expected or (precision != "float32" and provider != "cpu")):
        return Finding(NOTE, topic, *reason(done))
    return Finding(PROBLEM, topic, *reason(done))

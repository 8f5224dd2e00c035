"""Choose, open and verify an execution provider of onnxruntime; count the threads it may use.

A provider that is asked for by name is used or refused. "auto" takes an accelerator where this
onnxruntime has one that works, else the CPU; what it took can be asked.
"""

import functools
import os
import weakref
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from edgevae.errors import BundleError, InputError, ProviderError

Floats = npt.NDArray[np.float32]
Shapes = Mapping[str, tuple[int, ...]]


class Provider(NamedTuple):
    """How onnxruntime calls a provider, and what makes it available."""

    ort_name: str
    install: str


_GPU = "pip uninstall onnxruntime && pip install 'onnxruntime-gpu[cuda,cudnn]'"

PROVIDERS = {
    "cpu": Provider("CPUExecutionProvider", "pip install onnxruntime"),
    "cuda": Provider("CUDAExecutionProvider", _GPU),
    "tensorrt": Provider("TensorrtExecutionProvider", f"{_GPU} tensorrt"),
    "migraphx": Provider(
        "MIGraphXExecutionProvider",
        "pip uninstall onnxruntime && pip install onnxruntime-migraphx",
    ),
    "openvino": Provider(
        "OpenVINOExecutionProvider",
        "pip uninstall onnxruntime && pip install onnxruntime-openvino",
    ),
    "directml": Provider(
        "DmlExecutionProvider",
        "on Windows, pip uninstall onnxruntime && pip install onnxruntime-directml",
    ),
    "coreml": Provider("CoreMLExecutionProvider", "on macOS, pip install onnxruntime"),
    "webgpu": Provider("WebGpuExecutionProvider", "a build of onnxruntime with --use_webgpu"),
    "qnn": Provider(
        "QNNExecutionProvider", "pip uninstall onnxruntime && pip install onnxruntime-qnn"
    ),
    "xnnpack": Provider("XnnpackExecutionProvider", "a build of onnxruntime with --use_xnnpack"),
}

# What "auto" tries before the CPU: only what is faster for any graph. The others compile for
# minutes, or move part of the graph, and are for those who ask for them.
_AUTO = ("cuda",)

# Listed by every onnxruntime, and runs nothing here: it sends graphs to a server.
_REMOTE = "AzureExecutionProvider"

# Up to so many numbers, a copy costs less than to bind outputs, some 10 microseconds.
_FEW_NUMBERS = 1 << 14


def available() -> list[str]:
    """The providers that this onnxruntime was built with, by short name where they have one.

    A provider may still be refused when a graph is opened: its libraries may be missing.
    """
    names = runtime().get_available_providers()
    return [_short(name) for name in names if name != _REMOTE]


def ort_name(provider: str) -> str:
    """onnxruntime's name of a provider that `available` lists."""
    return PROVIDERS[provider].ort_name if provider in PROVIDERS else provider


def candidates(provider: str) -> tuple[str, ...]:
    """The providers to try, first choice first, for a short name, a full one or "auto".

    Raises `ProviderError` where this onnxruntime does not have the one that is named.
    """
    if not isinstance(provider, str):
        raise InputError(f"provider: expected a name such as 'cpu', got {provider!r}")
    has = available()
    if provider == "auto":
        return (*(name for name in _AUTO if name in has), "cpu")
    name = _short(provider)
    if name in has:
        return (name,)
    version = f"onnxruntime {runtime().__version__}"
    if name not in PROVIDERS:
        known = ", ".join(dict.fromkeys(("auto", *has, *PROVIDERS)))
        raise ProviderError(
            f"provider: expected one of {known}, got {provider!r}, which {version} does not know"
        )
    raise ProviderError(
        f"provider {provider!r} was asked for, but this {version} has only {', '.join(has)}; "
        f"install it ({PROVIDERS[name].install}) or ask for another provider"
    )


class Graph:
    """One ONNX file, opened when it is first run, on the first of `providers` that works.

    `inputs` and `outputs` give the names that the graph must have and their shapes without the
    batch axis; all are float32. Threads may share a graph. A forked process opens its own
    sessions.
    """

    def __init__(
        self, path: Path, providers: tuple[str, ...], *, inputs: Shapes, outputs: Shapes
    ) -> None:
        self._path = path
        self._providers = providers
        self._inputs = inputs
        self._outputs = outputs
        # By number of threads. Without a lock: two threads that open the same session waste one,
        # which costs less than a lock that a fork may copy while it is held.
        self._sessions: dict[int, tuple[Any, str]] = {}
        _graphs.add(self)

    def open(self, threads: int) -> str:
        """Opens a session whose operators use so many threads; returns its provider's name."""
        return self._session(threads)[1]

    def run(
        self, inputs: Mapping[str, Floats], outputs: Mapping[str, Floats], *, threads: int
    ) -> None:
        """Fills `outputs` in place; every array is C-contiguous, of at least one row."""
        session, provider = self._session(threads)
        try:
            if sum(array.size for array in outputs.values()) <= _FEW_NUMBERS:
                _run_and_copy(session, inputs, outputs)
            else:
                _run_in_place(session, inputs, outputs)
        except Exception as error:
            raise ProviderError(
                f"{self._path}: provider {provider!r} failed to run this graph: {error}; "
                f"`edgevae verify` tells whether the bundle runs here at all"
            ) from error

    def _session(self, threads: int) -> tuple[Any, str]:
        if threads not in self._sessions:
            self._sessions.setdefault(threads, self._open_first(threads))
        return self._sessions[threads]

    def _open_first(self, threads: int) -> tuple[Any, str]:
        *preferred, last = self._providers
        for provider in preferred:
            try:
                return self._open(provider, threads), provider
            except ProviderError:
                continue
        return self._open(last, threads), last

    def _open(self, provider: str, threads: int) -> Any:
        session = _open_session(self._path, provider, threads)
        _check_ports(self._path, "input", session.get_inputs(), self._inputs)
        _check_ports(self._path, "output", session.get_outputs(), self._outputs)
        return session


def _run_and_copy(
    session: Any, inputs: Mapping[str, Floats], outputs: Mapping[str, Floats]
) -> None:
    results = session.run([*outputs], dict(inputs))
    for (name, array), result in zip(outputs.items(), results, strict=True):
        if result.shape != array.shape:  # which numpy might broadcast
            raise ValueError(f"output {name}: expected shape {array.shape}, got {result.shape}")
        array[...] = result


def _run_in_place(
    session: Any, inputs: Mapping[str, Floats], outputs: Mapping[str, Floats]
) -> None:
    binding = session.io_binding()
    for name, array in inputs.items():
        binding.bind_cpu_input(name, array)
    for name, array in outputs.items():
        binding.bind_output(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
    session.run_with_iobinding(binding)


_graphs: weakref.WeakSet[Graph] = weakref.WeakSet()


def _abandon_sessions() -> None:
    """In a forked child: lets go of the parent's sessions, whose threads do not exist here.

    Not only running one would wait for them for ever: its destructor joins them, and did hang
    children at their exit. So they are never destroyed.
    """
    import ctypes

    for graph in _graphs:
        for session, _ in graph._sessions.values():
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(session))
        graph._sessions.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_abandon_sessions)


def _open_session(path: Path, provider: str, threads: int) -> Any:
    ort = runtime()
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors; its warnings speak to authors of graphs
    full = ort_name(provider)
    try:
        # onnxruntime's own fallback would retry on the CPU and print that it did.
        session = ort.InferenceSession(path, options, [full], enable_fallback=0)
    except Exception as error:  # onnxruntime's exceptions have no other base
        if provider == "cpu":
            raise BundleError(
                f"{path}: onnxruntime {ort.__version__} cannot open this graph: {error}; "
                f"upgrade onnxruntime or export the bundle for an older opset"
            ) from error
        raise _refusal(provider, str(error)) from error
    if full not in (got := session.get_providers()):
        raise _refusal(provider, f"onnxruntime put {', '.join(map(_short, got))} in its place")
    return session


def _refusal(provider: str, reason: str) -> ProviderError:
    install = PROVIDERS[provider].install if provider in PROVIDERS else "see its documentation"
    return ProviderError(
        f"provider {provider!r} was asked for and cannot be had: {reason}; most often one of its "
        f"libraries is missing ({install})"
    )


def _check_ports(path: Path, side: str, ports: Iterable[Any], expected: Shapes) -> None:
    """A wrong shape would otherwise be found by the first run, after work was lost."""
    got = {port.name: port for port in ports}
    if (side == "input" and set(got) != set(expected)) or not set(got) >= set(expected):
        raise BundleError(
            f"{path}: expected {side} {', '.join(expected)}, got {', '.join(got)}; "
            f"export the bundle again"
        )
    for name, shape in expected.items():
        batch, *dims = got[name].shape or [None]
        fits = len(dims) == len(shape) and all(
            not isinstance(dim, int) or dim == size for dim, size in zip(dims, shape, strict=True)
        )
        if got[name].type != "tensor(float)" or isinstance(batch, int) or not fits:
            raise BundleError(
                f"{path}: expected {side} {name} to be float32 of shape (any, "
                f"{', '.join(map(str, shape))}), got {got[name].type} of shape "
                f"{got[name].shape}; export the bundle again"
            )


def _short(ort_name: str) -> str:
    """The short name of a provider; the full one where it has none."""
    return next((key for key, known in PROVIDERS.items() if known.ort_name == ort_name), ort_name)


@functools.cache
def runtime() -> Any:
    """The module onnxruntime, with its telemetry off: whoever needs it takes it from here."""
    # Read once, when it is imported: from 1.32 on, onnxruntime for Linux too keeps an identifier
    # of the device, uploads events, and with that thread hangs forked children at their exit.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime  # type: ignore[import-untyped]
    except ImportError as error:
        raise ProviderError(
            f"onnxruntime cannot be imported: {error}; pip install onnxruntime"
        ) from error
    onnxruntime.disable_telemetry_events()
    return onnxruntime


# --- threads ---------------------------------------------------------------------------------


def usable_threads() -> int:
    """Threads that this process can keep busy: by its affinity and its cgroup's CPU quota.

    A quota of 2.5 cores gives 2: a thread more would be throttled while the others spin.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    quotas = _quotas(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup"))
    return max(1, int(min([cores or 1, *quotas])))


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

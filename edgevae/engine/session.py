"""Open an onnxruntime session on execution providers, and verify that it uses them.

onnxruntime silently falls back to the CPU if a provider's libraries are missing, and runs nodes
that a provider does not support on the CPU. So each session is inspected after it is opened:
`ProviderError` is raised for a provider that is not in it or takes no node of the graph.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgevae.engine import cores, cuda, plugins, providers, refusals
from edgevae.engine.ort import onnxruntime
from edgevae.engine.providers import Choice, Request, names
from edgevae.errors import BundleError, InputError, ProviderError

# Microseconds for which an idle thread spins before it sleeps: enough to bridge the gap between two
# operators or two calls. With onnxruntime's default a thread spun for 35 ms after every call, which
# slowed down the work that came next. With 1,000, the threads of an encoder still slowed down the
# decoder that was called after it (`score`, `denoise`); below 200, single calls of small graphs
# lost.
_SPIN_MICROSECONDS = 200


def open_session(path: Path, choice: Choice, *, precision: str, threads: int) -> Any:
    """Return a session on these providers, in their order, with `threads` threads for operators.

    Raises `ProviderError` if one of them cannot be used, `BundleError` if the graph cannot be
    opened at all.
    """
    ort = onnxruntime()
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors only; its warnings are for authors of graphs
    if providers.captures_graphs(choice):  # replays have no memory of their own to plan
        options.enable_mem_pattern = False
    options.add_session_config_entry("session.intra_op.spin_duration_us", str(_SPIN_MICROSECONDS))
    if pinned := cores.affinities(threads):
        options.add_session_config_entry("session.intra_op_thread_affinities", pinned)
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    listed = _add(options, choice, precision, threads)
    try:
        # onnxruntime's own fallback would retry on the CPU and print a message.
        session = ort.InferenceSession(path, options, listed, enable_fallback=0)
    except Exception as error:  # onnxruntime's exceptions have no closer base
        if names(choice) == "cpu":
            raise BundleError(
                f"{path}: onnxruntime {ort.__version__} cannot open this graph: {error}; "
                f"upgrade onnxruntime or export the bundle for an older opset"
            ) from error
        raise refusals.failed(choice, error) from error
    _refuse_replacements(session, choice)
    return session


def nodes(session: Any) -> dict[str, int] | None:
    """Return how many nodes of the graph each provider took; None if onnxruntime does not tell.

    The nodes are counted as they were assigned to providers, before they are fused. onnxruntime
    before 1.24 reports none, and up to 1.27 it reports of some built-in providers, such as WebGPU,
    only the Transposes that it added itself, or nothing. All counts are unknown then.
    """
    if not hasattr(session, "get_provider_graph_assignment_info"):  # before 1.24
        return None
    operators: dict[str, list[str]] = {}
    for part in session.get_provider_graph_assignment_info():
        types = [node.op_type for node in part.get_nodes()]
        operators.setdefault(providers.short(part.ep_name), []).extend(types)
    if not operators or any(set(types) == {"Transpose"} for types in operators.values()):
        return None
    return {name: len(types) for name, types in operators.items()}


def _add(
    options: Any, choice: Choice, precision: str, threads: int
) -> list[tuple[str, Mapping[str, str]]] | None:
    """Add plugins to the options; return the built-in providers with their settings.

    None if there are plugins, whose sessions take no list of providers.
    """
    built_in = {}
    for request in choice:
        settings = providers.settings(request, precision, threads)
        if plugin := _plugin(request.name):
            _add_plugin(options, request, plugin, settings, precision)
            continue
        if request.name in cuda.PROVIDERS and cuda.missing():
            raise refusals.missing(request, cuda.missing())
        built_in[request.name] = providers.ort_name(request.name), settings
    if len(built_in) == len(choice):
        return [*built_in.values()]
    if set(built_in) - {"cpu"}:  # every session has the CPU
        raise InputError(
            f"providers: {names(choice)} cannot share a session: a plugin shares one with other "
            f"plugins and the CPU, not with onnxruntime's own {', '.join(built_in)}"
        )
    return None


def _plugin(name: str) -> str | None:
    """Return onnxruntime's name of a provider that is opened by its device.

    None for a provider that is opened by its name.
    """
    if name == "cpu":
        return None
    if loaded := plugins.load(name):
        return loaded
    if name in cuda.PROVIDERS:
        cuda.missing()  # loads what onnxruntime-gpu needs to register a plugin that it contains
    full = providers.ort_name(name)
    return full if full in plugins.registered() else None


def _add_plugin(
    options: Any, request: Request, ort_name: str, settings: dict[str, str], precision: str
) -> None:
    kind = settings.pop("device_type", None)
    device = plugins.device(ort_name, kind)
    if device is None:
        raise refusals.no_device(request.name, kind)
    capabilities = device.ep_metadata.get("OPTIMIZATION_CAPABILITIES", "BF16")
    if precision == "bf16" and "BF16" not in capabilities:
        raise ProviderError(
            f"precision 'bf16' was asked for, and this machine's "
            f"{device.ep_metadata.get('FULL_DEVICE_NAME', device.device.type.name)} does not "
            f"compute in it; use float32"
        )
    options.add_provider_for_devices([device], settings)


def _refuse_replacements(session: Any, choice: Choice) -> None:
    """Raise `ProviderError` if a provider of the choice is absent from the session or idle."""
    if names(choice) == "cpu":
        return
    got = [providers.short(name) for name in session.get_providers()]
    taken = nodes(session)
    for request in choice:
        if request.name not in got:
            raise refusals.replaced(request, got)
        if request.name != "cpu" and taken is not None and not taken.get(request.name):
            raise refusals.idle(request.name, taken)

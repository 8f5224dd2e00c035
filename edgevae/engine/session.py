"""Open a session of onnxruntime on execution providers, and hold it to them.

onnxruntime puts the CPU in the place of a provider whose libraries are missing, and runs there
what a provider does not take, without a word. So what a session really got is asked after it is
made: a provider that is not in it, or that takes no node of the graph, is refused.
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgevae.engine import cuda, plugins, providers
from edgevae.engine.ort import onnxruntime
from edgevae.engine.providers import Choice, Request, names
from edgevae.errors import BundleError, InputError, ProviderError

# Microseconds for which a thread without work looks for more at full power, before it sleeps:
# enough from one operator, or one call, to the next. By default it burnt 35 ms of a core after
# every call, to the cost of whatever came next.
_SPIN = 1000


def open_session(path: Path, choice: Choice, *, precision: str, threads: int) -> Any:
    """A session on these providers, in their order, whose operators use so many threads.

    Raises `ProviderError` where one of them cannot be had, `BundleError` where the graph cannot
    be opened at all.
    """
    ort = onnxruntime()
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors; its warnings speak to authors of graphs
    options.add_session_config_entry("session.intra_op.spin_duration_us", str(_SPIN))
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    listed = _add(options, choice, precision, threads)
    try:
        # onnxruntime's own fallback would retry on the CPU and print that it did.
        session = ort.InferenceSession(path, options, listed, enable_fallback=0)
    except Exception as error:  # onnxruntime's exceptions have no other base
        if names(choice) == "cpu":
            raise BundleError(
                f"{path}: onnxruntime {ort.__version__} cannot open this graph: {error}; "
                f"upgrade onnxruntime or export the bundle for an older opset"
            ) from error
        raise providers.refusal(
            names(choice),
            " ".join(str(error).split()),
            f"most often one of its libraries is missing ({providers.install(choice)})",
        ) from error
    _refuse_replacements(session, choice)
    return session


def nodes(session: Any) -> dict[str, int] | None:
    """How many nodes of the graph each provider took; None where onnxruntime cannot tell.

    Nodes are counted as providers divided them, before they are fused.
    """
    if not hasattr(session, "get_provider_graph_assignment_info"):  # before 1.24
        return None
    taken: Counter[str] = Counter()
    for part in session.get_provider_graph_assignment_info():
        taken[part.ep_name] += len(part.get_nodes())
    return {providers.short(name): count for name, count in taken.items()}


def _add(
    options: Any, choice: Choice, precision: str, threads: int
) -> list[tuple[str, Mapping[str, str]]] | None:
    """Adds plugins to the options; returns the list of onnxruntime's own, None beside plugins."""
    listed = {}
    for request in choice:
        settings = providers.settings(request, precision, threads)
        if plugin := _plugin(request.name):
            _add_plugin(options, request, plugin, settings, precision)
            continue
        if request.name in cuda.PROVIDERS and cuda.missing():
            raise providers.refusal(
                request.name,
                f"{', '.join(cuda.missing())} cannot be loaded",
                f"install what is missing ({providers.install((request,))})",
            )
        listed[request.name] = providers.ort_name(request.name), settings
    if len(listed) == len(choice):
        return [*listed.values()]
    if set(listed) - {"cpu"}:  # which is in every session
        raise InputError(
            f"providers: {names(choice)} cannot share a session: a plugin shares one with other "
            f"plugins and the CPU, not with onnxruntime's own {', '.join(listed)}"
        )
    return None


def _plugin(name: str) -> str | None:
    """onnxruntime's name of a provider that is opened by its device; None for one by its name."""
    if name == "cpu":
        return None
    if loaded := plugins.load(name):
        return loaded
    full = providers.ort_name(name)
    return full if full in plugins.registered() else None


def _add_plugin(
    options: Any, request: Request, ort_name: str, settings: dict[str, str], precision: str
) -> None:
    kind = settings.pop("device_type", None)
    device = plugins.device(ort_name, kind)
    if device is None:
        raise providers.refusal(
            request.name,
            f"its plugin supports no {kind or 'device'} of this machine ({plugins.seen()})",
            f"use other hardware or another provider ({providers.install((request,))})",
        )
    can = device.ep_metadata.get("OPTIMIZATION_CAPABILITIES", "BF16")
    if precision == "bf16" and "BF16" not in can:
        raise ProviderError(
            f"precision 'bf16' was asked for, and this machine's "
            f"{device.ep_metadata.get('FULL_DEVICE_NAME', device.device.type.name)} has none; "
            f"use float32"
        )
    options.add_provider_for_devices([device], settings)


def _refuse_replacements(session: Any, choice: Choice) -> None:
    if names(choice) == "cpu":
        return
    got = [providers.short(name) for name in session.get_providers()]
    taken = nodes(session)
    for request in choice:
        if request.name not in got:
            raise providers.refusal(
                request.name,
                f"onnxruntime put {', '.join(got)} in its place",
                f"most often one of its libraries is missing ({providers.install((request,))})",
            )
        if request.name != "cpu" and taken is not None and not taken.get(request.name):
            raise providers.refusal(
                request.name,
                f"it took none of the {sum(taken.values())} nodes of the graph, which went to "
                f"{', '.join(taken)}",
                "name it before them, or leave it out",
            )

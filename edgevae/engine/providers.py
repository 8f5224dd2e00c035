"""Choose execution providers of onnxruntime and their options.

A provider that a caller names is used or refused. "auto" takes an accelerator if this onnxruntime
has one that works, else the CPU. float32 means float32: options turn off the lower precision that
some providers use by default.
"""

import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from edgevae import checks
from edgevae.engine import plugins
from edgevae.engine.ort import clash, onnxruntime
from edgevae.errors import InputError, ProviderError, show

Options = Mapping[str, str]
ProviderSpec = str | tuple[str, Mapping[str, object]]


class Provider(NamedTuple):
    """onnxruntime's name of a provider, the command that installs it, and its kind of device.

    `device` is "CPU", "GPU" or "NPU": what the provider runs on unless its option `device_type`
    names another.
    """

    ort_name: str
    install: str
    device: str = "GPU"


class Request(NamedTuple):
    """A provider by its short name, with options as onnxruntime names them."""

    name: str
    options: Options


Choice = tuple[Request, ...]  # the providers of one session, in their order


class Preference(NamedTuple):
    """The sessions to try, first choice first, and the reason in words."""

    choices: tuple[Choice, ...]
    why: str

    def device_type(self, provider: str) -> str:
        """Return the kind of device, such as "CPU", of the choice with these names."""
        return next(device_type(c) for c in self.choices if names(c) == provider)

    def __str__(self) -> str:
        """Return the sessions to try, as "cuda or cpu"."""
        return " or ".join(map(names, self.choices))


# Its CUDA libraries are those of CUDA 13 from onnxruntime 1.27 on.
_GPU = "pip uninstall -y onnxruntime && pip install 'onnxruntime-gpu[cuda,cudnn]'"

PROVIDERS = {
    "cpu": Provider("CPUExecutionProvider", "pip install onnxruntime", "CPU"),
    "cuda": Provider("CUDAExecutionProvider", _GPU),
    "tensorrt": Provider("TensorrtExecutionProvider", f"{_GPU} tensorrt"),
    "migraphx": Provider(
        "MIGraphXExecutionProvider",
        "pip uninstall -y onnxruntime && pip install onnxruntime-migraphx",
    ),
    "openvino": Provider(
        "OpenVINOExecutionProvider",
        "on Intel, pip install onnxruntime-ep-openvino; on other processors, pip uninstall -y "
        "onnxruntime && pip install onnxruntime-openvino",
        "CPU",
    ),
    "directml": Provider(
        "DmlExecutionProvider",
        "on Windows, pip uninstall -y onnxruntime && pip install onnxruntime-directml",
    ),
    "coreml": Provider("CoreMLExecutionProvider", "on macOS, pip install onnxruntime"),
    "webgpu": Provider("WebGpuExecutionProvider", "pip install onnxruntime-ep-webgpu"),
    "qnn": Provider("QNNExecutionProvider", "pip install onnxruntime-qnn", "NPU"),
    "xnnpack": Provider(
        "XnnpackExecutionProvider", "a build of onnxruntime with --use_xnnpack", "CPU"
    ),
}

# The providers that "auto" tries before the CPU: only those that are faster for any graph. Others
# compile for minutes or take only part of a graph, so callers have to name them.
_AUTO = ("cuda",)

# The options by which a provider captures its runs as graphs of the device.
_GRAPH_OPTIONS = {"cuda": "enable_cuda_graph", "webgpu": "enableGraphCapture"}

# The providers that can compute in bfloat16.
BF16 = ("openvino",)

# Every onnxruntime lists this provider, which sends graphs to a server instead of running them.
_REMOTE = "AzureExecutionProvider"


def available() -> list[str]:
    """Return the providers of this onnxruntime and of installed plugins, by short name if any.

    A provider may still be refused when a graph is opened, if its libraries or its hardware are
    missing.
    """
    # OpenVINO lists its automatic choice of a device as "OpenVINOExecutionProvider.AUTO".
    others = [short(name) for name in sorted(plugins.registered())]
    named = dict.fromkeys([*_built_in(), *others, *plugins.installed()])
    return [name for name in named if not name.endswith(".AUTO")]


def _built_in() -> list[str]:
    """Return the providers that this onnxruntime was built with."""
    return [short(name) for name in onnxruntime().get_available_providers() if name != _REMOTE]


def ort_name(provider: str) -> str:
    """Return onnxruntime's name of a provider that `available` lists."""
    return PROVIDERS[provider].ort_name if provider in PROVIDERS else provider


def candidates(provider: str) -> tuple[str, ...]:
    """Return the providers to try, first choice first, for a short name, a full name or "auto".

    Raises `ProviderError` if there is no provider of that name.
    """
    provider = checks.text(provider, "provider", "cpu")
    if provider == "auto":
        listed = available()
        return (*(name for name in _AUTO if name in listed), "cpu")
    name = short(provider)
    if name in _built_in() or name in (listed := available()):
        return (name,)
    version = f"onnxruntime {onnxruntime().__version__}"
    if name not in PROVIDERS:
        known = ", ".join(dict.fromkeys(("auto", *listed, *PROVIDERS)))
        raise ProviderError(
            f"provider: expected one of {known}, got {provider!r}, which {version} does not know"
        )
    raise ProviderError(
        f"provider {provider!r} was asked for, but this {version} has only {', '.join(listed)}; "
        f"{clash() or f'install it ({PROVIDERS[name].install})'}, or ask for another provider"
    )


def prefer(provider: str, specs: Sequence[ProviderSpec] | None, precision: str) -> Preference:
    """Return the sessions to try for the arguments of `edgevae.load`.

    `specs` is a list of names and (name, options) as onnxruntime takes it, with short names or
    its own; None leaves the choice to `provider`. Raises `InputError`, `ProviderError`.
    """
    choices: tuple[Choice, ...]
    if specs is not None:
        choices, why = (_choice(provider, specs),), "asked for by name"
    else:
        choices = tuple((Request(name, {}),) for name in candidates(provider))
        why = _why(provider, choices)
    first = choices[0][0].name
    if precision == "bf16" and first not in BF16:
        raise ProviderError(
            f"precision 'bf16' was asked for, which provider {first!r} does not compute in; "
            f"ask for one that does, provider={' or '.join(map(repr, BF16))}, or for float32"
        )
    return Preference(choices, why)


def _why(provider: str, choices: tuple[Choice, ...]) -> str:
    if provider != "auto":
        return "asked for by name"
    if len(choices) > 1:
        return f"auto tries {', then '.join(choice[0].name for choice in choices)}"
    return (
        f"auto tries {', '.join(_AUTO)} first, but this onnxruntime "
        f"{onnxruntime().__version__} was built without it, and no plugin adds it"
    )


def _choice(provider: str, specs: Sequence[ProviderSpec]) -> Choice:
    if provider != "auto":
        raise InputError(
            f"provider, providers: expected one of the two, got provider={show(provider)} and "
            f"providers={show(specs)}"
        )
    if isinstance(specs, str) or not isinstance(specs, Sequence) or not len(specs):
        raise InputError(
            f"providers: expected a list such as ['openvino', ('cpu', {{}})], got {show(specs)}"
        )
    choice = tuple(map(_request, specs))
    if len({request.name for request in choice}) < len(choice):
        raise InputError(f"providers: expected each once, got {names(choice)}")
    return choice


def _request(spec: ProviderSpec) -> Request:
    match spec:
        case "auto":
            raise InputError("providers: expected names, got 'auto', which is for provider=")
        case str(name):
            return Request(candidates(name)[0], {})
        case (str(name), Mapping() as options):
            named = {str(key): str(value) for key, value in options.items()}
            return Request(candidates(name)[0], named)
    raise InputError(f"providers: expected a name or (name, {{option: value}}), got {show(spec)}")


def settings(request: Request, precision: str, threads: int) -> dict[str, str]:
    """Return the options that make a provider compute in a precision, on `threads` threads.

    The caller's options take precedence. "int8" is a property of the graph, whose other operators
    are float32.
    """
    if request.name == "cuda":  # the default on newer GPUs is TF32, with 10 bits of mantissa
        return {"use_tf32": "0", **request.options}
    if request.name == "openvino":
        return {**request.options, "load_config": _load_config(request, precision, threads)}
    return dict(request.options)


def _load_config(request: Request, precision: str, threads: int) -> str:
    """Return OpenVINO's settings; its default precision is the lowest of the hardware."""
    kind = device_type((request,))
    own: dict[str, str] = {"INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32"}
    if kind == "CPU":
        own["INFERENCE_NUM_THREADS"] = str(threads)
    text = request.options.get("load_config", "{}")
    try:
        config = json.loads(text)
        return json.dumps({**config, kind: {**own, **config.get(kind, {})}})
    except (ValueError, TypeError, AttributeError) as error:  # not JSON, or of another structure
        raise InputError(
            f"providers: openvino's load_config: expected JSON such as "
            f'{{"CPU": {{"NUM_STREAMS": "1"}}}}, got {show(text)}: {error}'
        ) from error


def device_type(choice: Choice) -> str:
    """Return the kind of device that a choice's first provider runs on: "CPU", "GPU" or "NPU".

    The option `device_type` of OpenVINO and of plugins takes precedence, as it is written.
    """
    name, options = choice[0]
    return options.get("device_type", default_device(name))


def default_device(provider: str) -> str:
    """Return the kind of device that a provider, or the first of several, runs on by default."""
    name = provider.split(", ")[0]
    return PROVIDERS[name].device if name in PROVIDERS else "GPU"


def captures_graphs(choice: Choice) -> bool:
    """Return True if the options of a choice's first provider ask it to capture graphs."""
    name, options = choice[0]
    return options.get(_GRAPH_OPTIONS.get(name, ""), "0").lower() in ("1", "true")


def names(choice: Choice) -> str:
    """Return the names of a choice's providers, as "tensorrt, cuda"."""
    return ", ".join(request.name for request in choice)


def install(choice: Choice) -> str:
    """Return the commands that install what a choice's providers need."""
    known = (PROVIDERS[request.name].install for request in choice if request.name in PROVIDERS)
    return " and ".join(dict.fromkeys(known)) or "see the provider's documentation"


def short(ort_name: str) -> str:
    """Return the short name of a provider, by its short or full name.

    A provider without a short name keeps its full one. A plugin may call its provider otherwise
    than onnxruntime calls the one built in: CUDA's is CudaPluginExecutionProvider.
    """
    for key, known in PROVIDERS.items():
        if ort_name in (key, known.ort_name):
            return key
    plain = ort_name.removesuffix("ExecutionProvider").removesuffix("Plugin").lower()
    modules = (name for name in plugins.installed() if name.replace("_", "") == plain)
    return next(modules, ort_name)

"""The cases of a benchmark: what is run, by which runner, on which graph, with which settings."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from edgevae.bundle import ANY, Bundle
from edgevae.diagnostics.bench.process import ROLES_OF_VERBS
from edgevae.engine import targets
from edgevae.errors import InputError

RUNNERS = ("edgevae", "sess.run")
GRAPHS = ("plain", "compiled")
VERBS = tuple(ROLES_OF_VERBS)


@dataclass(frozen=True)
class Case:
    """A runner on a graph with its settings.

    runner: "edgevae", or "sess.run" for a script that uses onnxruntime alone
    graph: "plain", the graph as it was given to the compiler, or "compiled", the one that edgevae
        uses on the provider
    options: of the provider, as pairs of name and value
    threads: None is the default of the runner
    concurrency: how many threads call at the same time
    """

    runner: str
    graph: str
    provider: str
    precision: str = "float32"
    verb: str = "generate"
    threads: int | None = None
    concurrency: int = 1
    options: tuple[tuple[str, str], ...] = ()

    @property
    def baseline(self) -> "Case":
        """The case that this one is compared with: plain float32 by onnxruntime alone.

        Provider, options, verb, threads and concurrency are the same.
        """
        return replace(self, runner="sess.run", graph="plain", precision="float32")

    def as_json(self) -> dict[str, Any]:
        """Return the fields, with the options as an object."""
        return {**asdict(self), "options": dict(self.options)}

    @staticmethod
    def from_json(fields: Mapping[str, Any]) -> "Case":
        """Return the case whose `as_json` is among the fields. Raises `KeyError`."""
        own = {name: fields[name] for name in Case.__dataclass_fields__}
        return Case(**{**own, "options": tuple(own["options"].items())})


@dataclass(frozen=True)
class Sweep:
    """The values of each setting; `cases` combines them.

    The fields are those of `Case` in the plural. `options` are of a provider, by its name.
    """

    providers: Sequence[str]
    graphs: Sequence[str] = ("compiled",)
    precisions: Sequence[str] = ("float32",)
    verbs: Sequence[str] = ("generate",)
    threads: Sequence[int | None] = (None,)
    concurrencies: Sequence[int] = (1,)
    options: Mapping[str, Mapping[str, str]] | None = None

    def cases(self, bundle: Bundle) -> list[Case]:
        """Return the cases, each once: those of a baseline together, after the baseline.

        A case of onnxruntime alone is left out if its graphs are the files of the baseline's, as
        they are where compiling gained nothing. Raises `InputError` if the bundle lacks a role.
        """
        options = self.options or {}
        found: dict[Case, None] = {}
        for provider, verb, threads, callers in product(
            self.providers, self.verbs, self.threads, self.concurrencies
        ):
            own = tuple(options.get(provider, {}).items())
            base = Case("sess.run", "plain", provider, "float32", verb, threads, callers, own)
            _check_roles(bundle, verb)
            found[base] = None
            for precision, graph in product(self.precisions, self.graphs):
                alone = replace(base, graph=graph, precision=precision)
                if precision == "bf16" or files(bundle, alone) != files(bundle, base):
                    found[alone] = None
                found[replace(alone, runner="edgevae")] = None
        return [*found]


def files(bundle: Bundle, case: Case) -> dict[str, Path]:
    """Return the ONNX file of each role that the case's verb runs."""
    preferred = (ANY,) if case.graph == "plain" else targets(case.provider)
    precision = "float32" if case.precision == "bf16" else case.precision
    return {
        role: bundle.path / bundle.graph(role, precision, preferred).file
        for role in ROLES_OF_VERBS[case.verb]
    }


def _check_roles(bundle: Bundle, verb: str) -> None:
    if missing := set(ROLES_OF_VERBS[verb]) - set(bundle.roles):
        raise InputError(
            f"verb {verb!r} needs the graphs {' and '.join(ROLES_OF_VERBS[verb])}, and bundle "
            f"{bundle.name!r} has no {min(missing)}; measure another verb"
        )

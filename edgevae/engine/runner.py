"""A bundle opened on an execution provider: encode and decode rows."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevae import checks
from edgevae.bundle import Bundle, how_to_add
from edgevae.data import ClassNumbers, Kind
from edgevae.engine import automatic, plans, tuned, workers
from edgevae.engine.binding import Arrays, Shapes, new_arrays
from edgevae.engine.graph import Graph, Placement
from edgevae.engine.machine import MOST_THREADS, usable_threads
from edgevae.engine.plans import Plan
from edgevae.engine.providers import ProviderSpec, names
from edgevae.engine.tuned import Setting, Tuning
from edgevae.errors import BundleError, InputError, ProviderError
from edgevae.latents import Posterior, Prior

Floats = npt.NDArray[np.float32]
# work(first, last, threads) runs the rows first .. last - 1, with so many threads for operators.
Work = Callable[[int, int, int], None]

# Providers compute float32 graphs in bf16.
PRECISIONS = ("float32", "int8", "bf16")
# Chunks for each worker in one batch of a stream, so that workers seldom wait for the caller.
_CHUNKS_IN_A_BATCH = 4


class Runner:
    """The graphs of a bundle, opened on an execution provider on first use.

    The arguments are those of `edgevae.load`, and `tuning`, which None reads from what `edgevae
    tune` stored on this machine. Rows are float32 arrays that were checked before:
    x (N, *x_shape), z (N, *latent_shape), and y, class numbers int64 (N,), for a bundle with
    classes. Threads may share a Runner; a forked process opens its own sessions.
    """

    def __init__(
        self,
        bundle: Bundle,
        provider: str = "auto",
        threads: int | None = None,
        *,
        providers: Sequence[ProviderSpec] | None = None,
        precision: str = "float32",
        chunk: int | None = None,
        max_memory: int | str | None = None,
        tuning: Tuning | None = None,
    ) -> None:
        self.bundle = bundle
        _check_precision(bundle, precision)
        self.threads = (
            usable_threads()
            if threads is None
            else checks.integer(threads, "threads", least=1, most=MOST_THREADS)
        )
        self._chunk = None if chunk is None else checks.integer(chunk, "chunk", least=1)
        self._max_memory = None if max_memory is None else plans.parse_size(max_memory)
        self._max_rows: dict[str, int] = {}
        if self._max_memory is not None:
            self._max_rows = {
                role: plans.max_rows(bundle, role, self._max_memory) for role in bundle.roles
            }
        self.tuning = tuned.read(bundle, self.threads) if tuning is None else tuning
        self.preference, self.precision = automatic.resolve(
            checks.text(provider, "provider", "cpu"), providers, precision, self.tuning
        )
        self._graphs = {role: self._unopened(role) for role in bundle.roles}
        if precision == automatic.AUTO and self.precision == "bf16":
            self._confirm_bf16(provider)
        # Both are filled when they are first used, without a lock that a fork could copy.
        self._plans: dict[str, Plan] = {}
        self._prior: Prior | None = None

    def _unopened(self, role: str) -> Graph:
        x, z = self.bundle.x_shape, self.bundle.latent_shape
        ports: dict[str, tuple[Shapes, Shapes]] = {
            "encoder": ({"x": x}, {"mu": z, "logvar": z}),
            "decoder": ({"z": z, "y": ()} if self.bundle.classes else {"z": z}, {"x_hat": x}),
            "activations": ({"x": x}, {"h": (-1,)}),
        }
        inputs, outputs = ports[role]
        return Graph(
            self.bundle,
            role,
            self.preference,
            inputs=inputs,
            outputs=outputs,
            precision=self.precision,
            tuning=self.tuning,
        )

    def _confirm_bf16(self, provider: str) -> None:
        """Open the decoder in bf16; return to float32 if the provider refuses it.

        Another provider cannot take over later on, as the CPU does for float32.
        """
        try:
            self._graphs["decoder"].open(self.threads)
        except ProviderError as error:
            preference, self.precision = automatic.resolve(provider, None, "float32", self.tuning)
            self.preference = preference._replace(why=f"{preference.why}; {error}")
            self._graphs = {role: self._unopened(role) for role in self.bundle.roles}

    @property
    def provider(self) -> str:
        """The short name of the execution provider in use, such as "cpu".

        Reading it opens the decoder, unless the CPU is the only provider to try.
        """
        first, *others = self.preference.choices
        if not others and names(first) == "cpu":
            return "cpu"
        return self._graphs["decoder"].open(self.threads)

    @property
    def device_type(self) -> str:
        """The kind of device that the provider in use runs on: "CPU", "GPU" or "NPU"."""
        return self.preference.device_type(self.provider)

    @property
    def setting(self) -> Setting:
        """The provider, precision and number of threads in use; opens as `provider` does."""
        return Setting(self.provider, self.precision, self.threads)

    @property
    def prior(self) -> Prior:
        """The distribution of generated latents, read from the bundle on first use."""
        if self._prior is None:
            bundle = self.bundle
            classes = len(bundle.classes) if bundle.by_class else 0
            self._prior = Prior(bundle.latent_shape, bundle.mixture(), classes)
        return self._prior

    def placements(self) -> dict[str, Placement]:
        """Open all graphs; return how many nodes of each role run on which provider."""
        return {role: graph.placement(self.threads) for role, graph in self._graphs.items()}

    def graph(self, role: str) -> Graph:
        """Return the graph of a role, such as "decoder". Raises `InputError` if there is none."""
        if checks.text(role, "role", "decoder") not in self._graphs:
            raise InputError(f"bundle {self.bundle.name!r} has no {role}: {how_to_add(role)}")
        return self._graphs[role]

    def plan(self, role: str) -> Plan:
        """Return how the rows of a role's graph are divided among calls and workers."""
        self.graph(role)  # raises if there is none
        if role not in self._plans:
            setting = self.setting
            self._plans[role] = plans.choose(
                self.bundle,
                role,
                setting,
                tuned=self.tuning.plan(setting.provider, setting.precision, role),
                chunk=self._chunk,
                max_rows=self._max_rows.get(role),
                device=self.device_type,
            )
        return self._plans[role]

    def batch_rows(self, row_bytes: int) -> int:
        """Return how many rows of `row_bytes` bytes each one batch of a stream should have.

        That is a few chunks for each worker, but at most as many as half of `max_memory` holds.
        """
        plan = self.plan("decoder")
        batch = plan.chunk * plan.workers * _CHUNKS_IN_A_BATCH
        if self._max_memory is None:
            return batch
        return max(1, min(batch, self._max_memory // (2 * row_bytes)))

    # --- rows --------------------------------------------------------------------------------

    def encode(self, x: Floats) -> Posterior:
        """Return q(z|x) of each row of x."""
        return Posterior(*self._call("encoder", {"x": x}, len(x)))

    def activations(self, x: Floats) -> Floats:
        """Return the encoder's hidden activations h of each row of x: float32 (N, H)."""
        h = np.empty((len(x), self.graph("activations").size("h", self.threads)), np.float32)
        self._run("activations", {"x": x}, {"h": h})
        return h

    def decode(self, z: Floats, y: ClassNumbers | None = None) -> Floats:
        """Return x_hat of each row of z: float32 (N, *x_shape)."""
        (x_hat,) = self._call("decoder", {"z": z} if y is None else {"z": z, "y": y}, len(z))
        return x_hat

    def reconstruct(self, x: Floats, y: ClassNumbers | None = None) -> Floats:
        """Return x_hat at z = mu of each row of x: float32 (N, *x_shape)."""
        return self.decode(self.encode(x).mu, y)

    def is_one_call(self, n: int) -> bool:
        """Return True if n rows are decoded in one call on the caller's thread."""
        chunk, count, _ = (self._plans.get("decoder") or self.plan("decoder")).division(n)
        return count == 1 and 0 < n <= chunk

    def decode_into(
        self,
        latents: Callable[[int, int], Floats],
        out: npt.NDArray[Any],
        y: ClassNumbers | None = None,
    ) -> None:
        """Fill `out` with the decoded rows.

        latents(first, last) returns rows first .. last - 1 of z; it is called once for each
        chunk of rows, by the worker that decodes it. `out` is C-contiguous: float32
        (N, *x_shape), for images also uint8 (N, H, W, C), for text an array of str (N,).
        """
        decoder, data = self._graphs["decoder"], self.bundle.data

        def work(first: int, last: int, threads: int) -> None:
            rows = out[first:last]
            inputs: dict[str, npt.NDArray[Any]] = {"z": latents(first, last)}
            if y is not None:
                inputs["y"] = y[first:last]
            if out.dtype == np.float32:
                decoder.run(inputs, {"x_hat": rows}, threads=threads)
            else:
                finish = partial(_finish, data, rows)
                decoder.apply(inputs, last - first, finish, threads=threads)

        self._divide("decoder", len(out), work)

    def _call(self, role: str, inputs: Arrays, n: int) -> list[Floats]:
        """Return a graph's outputs for n rows of its inputs."""
        plan = self._plans.get(role) or self.plan(role)
        chunk, count, threads = plan.division(n)
        if count == 1 and 0 < n <= chunk:
            return self._graphs[role].call(inputs, n, threads=threads)
        outputs = new_arrays(n, self._graphs[role].outputs)
        self._run(role, inputs, outputs)
        return list(outputs.values())

    def _run(self, role: str, inputs: Arrays, outputs: Arrays) -> None:
        """Fill a graph's outputs, in place, from its inputs."""
        self._divide(role, len(next(iter(inputs.values()))), self.work(role, inputs, outputs))

    def work(self, role: str, inputs: Arrays, outputs: Arrays) -> Work:
        """Return a function that fills a part of a graph's outputs, in place, from its inputs."""
        graph = self.graph(role)

        def work(first: int, last: int, threads: int) -> None:
            graph.run(
                {name: array[first:last] for name, array in inputs.items()},
                {name: array[first:last] for name, array in outputs.items()},
                threads=threads,
            )

        return work

    def _divide(self, role: str, n: int, work: Work) -> None:
        """Call work(first, last, threads of an operator) for chunks that cover range(n)."""
        if not n:
            return
        chunk, count, threads = (self._plans.get(role) or self.plan(role)).division(n)
        if count == 1 and n <= chunk:
            work(0, n, threads)
            return
        self._graphs[role].open(threads)  # otherwise every worker would open a session
        workers.run_chunks(n, chunk, count, lambda first, last: work(first, last, threads))


def _finish(data: Kind, rows: npt.NDArray[Any], outputs: list[Floats]) -> None:
    (x_hat,) = outputs
    data.finish(x_hat, rows)


def _check_precision(bundle: Bundle, precision: str) -> None:
    checks.choice(precision, "precision", (*PRECISIONS, automatic.AUTO))
    if precision == "int8" and precision not in bundle.precisions:
        raise BundleError(
            f"{bundle.path}: precision 'int8' was asked for, and the bundle has only "
            f"{', '.join(bundle.precisions)}; make it with `edgevae compile --int8`"
        )

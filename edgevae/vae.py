"""A VAE, run from its bundle: generate, encode, decode, reconstruct, denoise, vary, interpolate.

Rows are numbered: the latent of row i is a function of (seed, i) alone, so n rows are the same
rows whether they are made in one call or in many, on one thread or on all.
"""

import functools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevae import bundle, checks, denoising, sampling, tiling
from edgevae.data import images, labels, text
from edgevae.data.labels import Labels
from edgevae.engine import plans
from edgevae.engine import workers as batching
from edgevae.engine.graph import Graph, Placement, Shapes
from edgevae.engine.machine import usable_threads
from edgevae.engine.providers import Asked, names, prefer
from edgevae.errors import BundleError, InputError
from edgevae.latents import paths as walks
from edgevae.latents import variations
from edgevae.latents.posterior import Posterior
from edgevae.scoring import conformal
from edgevae.scoring import methods as scoring

Floats = npt.NDArray[np.float32]

# Chunks for each worker in a batch of `stream`, so that workers seldom wait for the caller.
_CHUNKS = 4
# The variant of the bundle that computes in each precision.
VARIANTS = {"float32": "fp32", "int8": "int8", "bf16": "fp32"}


class VAE:
    """A bundle, opened on an execution provider; `edgevae.load` makes one.

    It can be shared between threads, pickled (by the bundle's path) and used after a fork.
    """

    def __init__(
        self,
        bundle: bundle.Bundle,
        provider: str = "auto",
        threads: int | None = None,
        *,
        providers: Sequence[Asked] | None = None,
        precision: str = "float32",
        chunk: int | None = None,
        max_memory: int | str | None = None,
    ) -> None:
        self.bundle = bundle
        self.precision = precision
        self.variant = _variant(bundle, precision)
        self.threads = _threads(threads)
        self._asked: dict[str, Any] = {
            "provider": provider,
            "threads": threads,
            "providers": providers,
            "precision": precision,
            "chunk": chunk,
            "max_memory": max_memory,
        }
        self._chunk = None if chunk is None else checks.whole(chunk, "chunk", least=1)
        self._max_memory = None if max_memory is None else plans.memory(max_memory)
        self._most: dict[str, int] = {}
        if self._max_memory is not None:
            self._most = {
                role: plans.most_rows(bundle, role, self._max_memory) for role in bundle.roles
            }
        self._plans: dict[str, plans.Plan] = {}
        self._preference = prefer(provider, providers, precision)
        x, z = bundle.x_shape, bundle.latent_shape
        ports: dict[str, tuple[Shapes, Shapes]] = {
            "encoder": ({"x": x}, {"mu": z, "logvar": z}),
            "decoder": ({"z": z, "y": ()} if bundle.classes else {"z": z}, {"x_hat": x}),
            "activations": ({"x": x}, {"h": (-1,)}),
        }
        self._graphs = {
            role: Graph(
                bundle.graph(role, self.variant),
                self._preference,
                inputs=ports[role][0],
                outputs=ports[role][1],
                precision=precision,
            )
            for role in bundle.roles
        }
        self._decoder = self._graphs["decoder"]

    def __reduce__(self) -> tuple[Any, ...]:
        made_here = {
            key: self.__dict__[key] for key in ("statistics", "calibration") if key in self.__dict__
        }
        return functools.partial(load, **self._asked), (self.bundle.path,), made_here

    def __repr__(self) -> str:
        provider = " or ".join(map(names, self._preference.choices))
        return (
            f"<edgevae.VAE {self.bundle.name!r} on {provider}, threads={self.threads}, "
            f"{self.precision}>"
        )

    @property
    def provider(self) -> str:
        """The execution provider in use; the decoder is opened to see, unless it is the CPU's."""
        first, *others = self._preference.choices
        if not others and names(first) == "cpu":
            return "cpu"
        return self._decoder.open(self.threads)

    @property
    def providers(self) -> dict[str, Placement]:
        """Where each of the bundle's roles runs, by nodes; opens all graphs to see."""
        return {role: graph.placement(self.threads) for role, graph in self._graphs.items()}

    def graph(self, role: str) -> Graph:
        """The graph of a role, such as "decoder"; `InputError` where there is none."""
        if role not in self._graphs:
            raise InputError(
                f"bundle {self.bundle.name!r} has no {role}: {bundle.how_to_have(role)}"
            )
        return self._graphs[role]

    def plan(self, role: str) -> plans.Plan:
        """How the rows of a role's graph are divided, and who says so."""
        if role not in self._plans:
            setting = plans.Setting(self.provider, self.precision, self.threads)
            self._plans[role] = plans.choose(
                self.bundle, role, setting, chunk=self._chunk, most=self._most.get(role)
            )
        return self._plans[role]

    # --- prior -> data -----------------------------------------------------------------------

    def sample(
        self,
        n: int,
        *,
        seed: int | None = None,
        start: int = 0,
        temperature: float = 1.0,
        labels: Labels | None = None,
    ) -> Floats:
        """Latents of rows start .. start + n - 1 drawn from the prior: float32 (n, *latent_shape).

        Bit for bit the same on every machine, however the rows are divided among calls. `labels`
        as in `generate`: they matter where each class has a prior of its own.
        """
        n, seed, start, temperature = self._drawing(n, seed, start, temperature)
        z: Floats = checks.room((n, *self.bundle.latent_shape), "float32")
        self._draw(z, seed, start, temperature, self._drawn(labels, n, start))
        return z

    def generate(
        self,
        n: int = 1,
        *,
        seed: int | None = None,
        start: int = 0,
        temperature: float = 1.0,
        labels: Labels | None = None,
        out: npt.NDArray[Any] | None = None,
        dtype: str = "float32",
    ) -> Any:
        """Rows start .. start + n - 1 of the stream `seed`, decoded.

        Float32 (n, *x_shape) as trained, or for images with dtype "uint8" (n, H, W, C). For text
        a list of n strings; `decode` of `sample` gives their characters' probabilities.
        `seed` is an int in [0, 2^64), None takes a fresh one. `temperature` >= 0 scales the
        noise within a component of the prior, not the choice of component. `labels`, for a bundle
        with classes, is one of them, by number or name, or n of them; None makes each in turn: row
        i is of class i modulo their count, whatever `start` is. `out` is filled and
        returned: C-contiguous, of the result's shape and dtype. Raises `InputError`.
        """
        n, seed, start, temperature = self._drawing(n, seed, start, temperature)
        y = self._drawn(labels, n, start)
        x_hat = self._result(n, dtype, out)

        def latents(first: int, last: int) -> Floats:
            z = np.empty((last - first, *self.bundle.latent_shape), np.float32)
            self._draw(z, seed, start + first, temperature, None if y is None else y[first:last])
            return z

        self._decode(n, latents, x_hat, y)
        return x_hat.tolist() if self.bundle.text else x_hat

    def stream(
        self,
        n: int,
        *,
        seed: int | None = None,
        start: int = 0,
        temperature: float = 1.0,
        labels: Labels | None = None,
        dtype: str = "float32",
        batch: int | None = None,
    ) -> Iterator[Any]:
        """The rows of `generate(n, ...)` in batches, of which it holds one at a time.

        `batch` rows each, the last maybe fewer; None: a few chunks for each worker, as far as
        half of `max_memory` holds them.
        """
        n, seed, start, temperature = self._drawing(n, seed, start, temperature)
        y = None if labels is None else self._numbers(labels, n)
        row_bytes = self._result(1, dtype, None).nbytes
        batch = self._batch(row_bytes) if batch is None else checks.whole(batch, "batch", least=1)
        return (
            self.generate(
                min(batch, n - first),
                seed=seed,
                start=(start + first) & checks.LAST,
                temperature=temperature,
                labels=None if y is None else y[first : first + batch],
                dtype=dtype,
            )
            for first in range(0, n, batch)
        )

    # --- data -> latents -> data -------------------------------------------------------------

    def encode(self, x: Any) -> Posterior:
        """q(z|x) of each item of x, which may be all that `reconstruct` takes.

        A single item is a batch of one. Raises `InputError` for a wrong type, shape or dtype,
        for NaN and infinity, and for values far outside of the range the model was trained on.
        """
        return self._encode(self._given(x).rows)

    def activations(self, x: Any) -> Floats:
        """h of each item of x, as `reconstruct` takes it: float32 (N, H).

        The encoder's hidden activations after each layer, which the score `nap` compares. Raises
        `InputError` where the bundle has no graph of them.
        """
        graph, rows = self.graph("activations"), self._given(x).rows
        h = np.empty((len(rows), graph.size("h", self.threads)), np.float32)
        self._read("activations", rows, {"h": h})
        return h

    def decode(
        self,
        z: npt.ArrayLike,
        *,
        labels: Labels | None = None,
        tile: bool = False,
        overlap: int | None = None,
        out: Floats | None = None,
    ) -> Floats:
        """x_hat of latents (N, *latent_shape) or (*latent_shape): float32 (N, *x_shape) or
        (*x_shape).

        A bundle with classes needs `labels`: one, by number or name, or N of them. With `tile` the
        latents may be larger, (N, C, H, W) or (C, H, W), where the decoder is fully convolutional:
        it makes pictures as large in memory for a few tiles of latent_shape beside them, which
        share `overlap` cells, None for `bundle.tiles.overlap`. `out`, for tiles alone, is filled
        and returned, and may be a numpy.memmap.
        """
        if tile:
            return tiling.decode(self, z, labels, overlap, out)
        if overlap is not None or out is not None:
            raise InputError("overlap, out: expected with tile=True alone; leave them out")
        rows, single = self._latents(z)
        x_hat = self._decode_rows(rows, labels)
        return x_hat[0] if single else x_hat

    def reconstruct(self, x: Any, *, labels: Labels | None = None) -> Any:
        """x_hat at z = mu, in the type of x.

        x is float (N, *x_shape) within the bundle's range, or, for images, uint8 (N, H, W, C);
        both also without N. Or a PIL image or the path of one, for a PIL image, of the bundle's
        size. Or, for text, a str. Or a list of any of these, for a list. `labels` as in `decode`;
        a class that x is not of makes the item of that class that is most like x.
        """
        given = self._given(x)
        self._numbers(labels, len(given.rows))  # or the work is lost
        return given.back(self._decode_rows(self._encode(given.rows).mu, labels))

    def denoise(
        self,
        x: Any,
        sigma: float | npt.ArrayLike | None = None,
        *,
        labels: Labels | None = None,
    ) -> Any:
        """x without its noise, in the type of x; for a bundle whose encoder was trained under it.

        `sigma` is the noise's standard deviation in x's units, one number or one for each item;
        None estimates it from each image, and a clean one comes back all but unchanged. What the
        model sees is weighed against x itself, as `edgevae.denoising` explains, by a table in the
        bundle. A bundle without one gives `reconstruct`, whatever sigma is. `labels` as in
        `decode`.
        """
        if not self.bundle.noise:
            raise InputError(
                f"bundle {self.bundle.name!r} was not trained to denoise (noise is 0 in its "
                f"manifest): use reconstruct, or train with noise augmentation"
            )
        given = self._given(x)
        return given.back(denoising.denoise(self, given.rows, sigma, labels))

    @functools.cached_property
    def denoising(self) -> denoising.Table | None:
        """What `denoise` weighs by; None where the bundle does not tell."""
        return denoising.read(self.bundle)

    def vary(
        self,
        x: Any,
        n: int,
        strength: float = 1.0,
        *,
        seed: int | None = None,
        start: int = 0,
        labels: Labels | None = None,
    ) -> Any:
        """n >= 1 items that are each different from x and similar to it, for each item of x.

        A single item gives a batch of n, or a list of PIL images or str; a batch (N, ...) gives
        (N, n, ...), a list one list for each item. Strength 1 draws from the posterior,
        mu + std * eps; below it the noise is scaled, at 0 every variation is the reconstruction.
        Above it the noise grows towards how the item's neighbours differ, `variations.widened`.
        On the shipped fashion 1 is hard to tell from the reconstruction; 2 and 3 change soles,
        seams, prints and edges of what is still the same garment; 10 is another of its kind.

        Item i takes the noise of row start + i of the stream `seed`, purpose posterior. `labels`
        as in `decode`: one, or one for each item.
        """
        n, given = checks.whole(n, "n", least=1), self._given(x)
        strength = checks.least_zero(strength, "strength", "1 is the posterior itself")
        y = self._numbers(labels, len(given.rows))
        if self.bundle.model == "autoencoder":
            raise InputError(
                f"bundle {self.bundle.name!r} is an autoencoder, whose items have one latent each "
                f"and no posterior to draw others from: vary takes a vae"
            )
        posterior = variations.widened(self._encode(given.rows), self.prior, strength)
        z = posterior.sample(n, seed=seed, start=start)
        every = None if y is None else np.tile(y, n)
        x_hat = self._decode_rows(z.reshape(-1, *self.bundle.latent_shape), every)
        return given.several(x_hat.reshape(n, len(given.rows), *self.bundle.x_shape))

    def interpolate(
        self,
        a: Any,
        b: Any,
        steps: int,
        *,
        spherical: bool = False,
        labels: Labels | None = None,
    ) -> Any:
        """`steps` >= 2 items on the way from a's mu to b's, both ends included.

        a and b are single items as `reconstruct` takes them; the result is a batch, or a list of
        PIL images or str, after the type of a. The way is a line, or, `spherical`, the great
        circle: the middle of a line is nearer to the origin than either end, where N(0, I) in
        many dimensions has next to no mass. So take the circle where the prior is the standard
        normal and the latents lie on its shell, of radius sqrt(dims); with a mixture prior, as
        the shipped bundle's, latents lie elsewhere and the line is as good. `labels` as in
        `decode`: one, or one for each step.
        """
        steps = checks.whole(steps, "steps", least=2)
        self._numbers(labels, steps)
        way = walks.arc if spherical else walks.line
        first, last = self._one(a, "a"), self._one(b, "b")
        ends = self._encode(np.concatenate([first.rows, last.rows])).mu
        return first.restore(self._decode_rows(way(ends[0], ends[1], steps), labels))

    def traverse(
        self,
        z: Any,
        dim: int,
        steps: int = 9,
        *,
        span: float = 2.5,
        labels: Labels | None = None,
    ) -> Any:
        """`steps` >= 2 items along one dimension of the latent, all others as they are in z.

        z is one latent, or one item as `reconstruct` takes it, whose mu is taken; the result is a
        batch float32 (steps, *x_shape), or after the type of the item. `dim` counts in the
        flattened latent. The dimension goes from `span` standard deviations below the prior's
        mean to as many above, so that traversals of different items line up. `labels` as in
        `decode`: one, or one for each step.
        """
        dim = checks.whole(dim, "dim", most=self.bundle.dims - 1)
        steps = checks.whole(steps, "steps", least=2)
        span = checks.least_zero(span, "span", "in standard deviations of the prior")
        self._numbers(labels, steps)
        places = walks.positions(self.prior, dim, steps, span)
        if isinstance(z, np.ndarray) and z.shape == self.bundle.latent_shape:
            return self._decode_rows(walks.along(checks.latents(z), dim, places), labels)
        given = self._one(z, "z")
        (mu,) = self._encode(given.rows).mu
        return given.restore(self._decode_rows(walks.along(mu, dim, places), labels))

    # --- how strange it is --------------------------------------------------------------------

    def score(
        self,
        x: Any,
        method: str = "default",
        *,
        alpha: float | None = None,
        draws: int = scoring.DRAWS,
        seed: int = 0,
        start: int = 0,
        fdr: bool = False,
    ) -> scoring.Scores:
        """How strange each item of x is, as `reconstruct` takes it: `edgevae.scoring` explains.

        p-values and flags, at `alpha` or the calibration's, come with a calibrated method.
        """
        rows = self._given(x).rows
        return scoring.score(
            self, rows, method, alpha=alpha, draws=draws, seed=seed, start=start, fdr=fdr
        )

    def calibrate(
        self,
        x_normal: Any,
        alpha: float = 0.01,
        *,
        methods: Sequence[str] | None = None,
        draws: int = scoring.DRAWS,
    ) -> "VAE":
        """This VAE with p-values, by normal items that it was not trained on: `score.calibrate`.

        `save` writes it as a bundle.
        """
        rows = self._given(x_normal).rows
        found = scoring.calibrate(self, rows, alpha, methods=methods, draws=draws)
        calibrated = object.__new__(VAE)
        calibrated.__dict__.update(self.__dict__)
        calibrated.statistics, calibrated.calibration = found
        return calibrated

    def save(self, path: str | os.PathLike[str]) -> bundle.Bundle:
        """Writes the bundle, with the statistics and the calibration in use; `bundle.write`."""
        return scoring.write(self, path)

    @functools.cached_property
    def statistics(self) -> scoring.Statistics | None:
        """What is known of the training items; None where the bundle does not tell."""
        return scoring.read(self.bundle)

    @functools.cached_property
    def calibration(self) -> conformal.Calibration | None:
        """The scores of held-out normal items; None where the bundle has none."""
        return conformal.read(self.bundle)

    # --- the work ----------------------------------------------------------------------------

    def _given(self, x: Any) -> images.Given:
        b = self.bundle
        if b.text:
            return text.given(x, b.text)
        return images.given(x, b.kind, b.x_shape, b.x_range, b.features)

    def _one(self, x: Any, name: str) -> images.Given:
        given = self._given(x)
        if len(given.rows) != 1:
            raise InputError(f"{name}: expected a single item, got {len(given.rows)}")
        return given

    def _latents(self, z: npt.ArrayLike) -> tuple[Floats, bool]:
        """z as rows, checked, and whether it is a single one."""
        rows, shape = checks.latents(z), self.bundle.latent_shape
        if rows.shape == shape:
            return rows[None], True
        if rows.shape[1:] != shape or rows.ndim != len(shape) + 1:
            dims = ", ".join(map(str, shape))
            raise InputError(f"z: expected shape (N, {dims}) or ({dims}), got {rows.shape}")
        return rows, False

    def _numbers(self, given: Labels | None, n: int) -> labels.Numbers | None:
        """The class of each of n rows, checked; None for a bundle without classes."""
        return labels.numbers(given, self.bundle.classes, n)

    def _drawn(self, given: Labels | None, n: int, start: int) -> labels.Numbers | None:
        """The class of each of n generated rows: each in turn where nobody says."""
        if given is None:
            return labels.cycle(self.bundle.classes, n, start)
        return self._numbers(given, n)

    def _result(self, n: int, dtype: str, out: npt.NDArray[Any] | None) -> npt.NDArray[Any]:
        """The array to fill: `out`, where it is what the result will be, or a new one."""
        if dtype not in ("float32", "uint8"):
            raise InputError(f"dtype: expected 'float32' or 'uint8', got {dtype!r}")
        shape: tuple[int, ...] = n, *self.bundle.x_shape
        if self.bundle.text:
            if dtype != "float32" or out is not None:
                raise InputError(
                    f"{'out' if dtype == 'float32' else 'dtype'}: bundle {self.bundle.name!r} "
                    f"makes a list of str, which takes none; decode(sample(n)) makes float32"
                )
            return checks.room((n,), f"U{self.bundle.text.length}")
        if dtype == "uint8":
            if self.bundle.kind != "image":
                raise InputError(
                    f"dtype: expected 'float32', since bundle {self.bundle.name!r} makes "
                    f"{self.bundle.kind}s, got 'uint8', which is for images"
                )
            channels, height, width = self.bundle.x_shape
            shape = n, height, width, channels
        return checks.room(shape, dtype, out)

    def _drawing(
        self, n: int, seed: int | None, start: int, temperature: float
    ) -> tuple[int, int, int, float]:
        """What rows of the prior to draw (`checks.drawing`); InputError where there is none."""
        if self.bundle.prior == "none":
            raise InputError(
                f"bundle {self.bundle.name!r} is an autoencoder, which has no prior to draw z "
                f"from: encode, decode and reconstruct work; fit a mixture to latents that it "
                f"encodes and compile it with that (--prior) to generate"
            )
        return checks.drawing(n, seed, start, temperature)

    @functools.cached_property
    def prior(self) -> sampling.MixtureTable | None:
        """The mixture that generation draws from; None: the standard normal."""
        return self.bundle.mixture()

    @functools.cached_property
    def _priors(self) -> list[sampling.MixtureTable]:
        return self.bundle.mixtures()

    def _draw(
        self, z: Floats, seed: int, start: int, temperature: float, y: labels.Numbers | None = None
    ) -> None:
        """Fills z with the prior's rows from `start` on, of these classes."""
        dims = self.bundle.dims
        if y is not None and self._priors:
            sampling.draw_by_class(
                self._priors,
                y,
                seed=seed,
                start=start & checks.LAST,
                temperature=temperature,
                out=z.reshape(len(z), dims),
            )
            return
        sampling.draw(
            self.prior,
            len(z),
            dims,
            seed=seed,
            start=start & checks.LAST,
            temperature=temperature,
            out=z.reshape(len(z), dims),
        )

    def _encode(self, x: Floats) -> Posterior:
        mu = np.empty((len(x), *self.bundle.latent_shape), np.float32)
        posterior = Posterior(mu, np.empty_like(mu))
        self._read("encoder", x, {"mu": mu, "logvar": posterior.logvar})
        return posterior

    def _read(self, role: str, x: Floats, outputs: Mapping[str, Floats]) -> None:
        """Fills outputs from the rows of x by a graph that reads x."""
        graph = self.graph(role)

        def work(first: int, last: int, threads: int) -> None:
            rows = slice(first, last)
            filled = {name: array[rows] for name, array in outputs.items()}
            graph.run({"x": x[rows]}, filled, threads=threads)

        self._spread(role, graph, len(x), work)

    def _decode_rows(self, z: Floats, labels: Labels | None = None) -> Floats:
        y = self._numbers(labels, len(z))
        x_hat = np.empty((len(z), *self.bundle.x_shape), np.float32)
        self._decode(len(z), lambda first, last: z[first:last], x_hat, y)
        return x_hat

    def _decode(
        self,
        n: int,
        latents: Callable[[int, int], Floats],
        out: npt.NDArray[Any],
        y: labels.Numbers | None,
    ) -> None:
        """Fills out, float32, uint8 or str, from the latents and classes of stretches of rows."""

        def work(first: int, last: int, threads: int) -> None:
            rows = out[first:last]
            inputs: dict[str, npt.NDArray[Any]] = {"z": latents(first, last)}
            if y is not None:
                inputs["y"] = y[first:last]
            if out.dtype == np.float32:
                self._decoder.run(inputs, {"x_hat": rows}, threads=threads)
                return
            x_hat = np.empty((last - first, *self.bundle.x_shape), np.float32)
            self._decoder.run(inputs, {"x_hat": x_hat}, threads=threads)
            if self.bundle.text:
                text.strings(x_hat, self.bundle.text, rows)
                return
            assert self.bundle.x_range is not None  # no image is without one
            images.to_uint8(x_hat, self.bundle.x_range, rows)

        self._spread("decoder", self._decoder, n, work)

    def _spread(
        self, role: str, graph: Graph, n: int, work: Callable[[int, int, int], None]
    ) -> None:
        """Calls work(first, last, threads of each operator) for stretches of range(n)."""
        if not n:
            return
        plan = self.plan(role)
        if n <= plan.few:
            work(0, n, self.threads)
            return
        graph.open(plan.threads)  # here, or every worker would
        batching.spread(
            n, plan.chunk, plan.workers, lambda first, last: work(first, last, plan.threads)
        )

    def _batch(self, row_bytes: int) -> int:
        """Rows that `stream` makes at a time, of so many bytes each."""
        plan = self.plan("decoder")
        batch = plan.chunk * plan.workers * _CHUNKS
        if self._max_memory is None:
            return batch
        return max(1, min(batch, self._max_memory // (2 * row_bytes)))


def load(
    name_or_path: str | os.PathLike[str] = "fashion",
    provider: str = "auto",
    threads: int | None = None,
    *,
    providers: Sequence[Asked] | None = None,
    precision: str = "float32",
    chunk: int | None = None,
    max_memory: int | str | None = None,
) -> VAE:
    """Opens a bundle: a shipped one by its name, any other by its path.

    `provider` is "auto" (an accelerator where onnxruntime has one that works, else the CPU) or
    the name of one, which is used or refused. `threads` is how many to use; None takes the cores
    that affinity and cgroup quota leave to this process. `providers` is a list in onnxruntime's
    manner, of names or (name, options), instead of `provider`: each is used or refused, and what
    they leave runs on the CPU. `precision` is "float32"; "int8" for a bundle that has that
    variant, whose cost stands in `vae.bundle.quality`; or "bf16" for a provider that computes so.

    `chunk` is how many rows a worker runs at a time; None leaves that to `edgevae tune`, the
    bundle, or a guess: `vae.plan("decoder")` tells. `max_memory`, in bytes or as "64MB", bounds
    what a call holds beside the caller's arrays, the bundle's weights and onnxruntime itself:
    half is for rows in flight, which are estimated where the manifest does not state them, half
    for a batch of `stream`. Raises `BundleError`, `InputError`, `ProviderError`.
    """
    found = bundle.read(bundle.find(name_or_path))
    return VAE(
        found,
        provider,
        threads,
        providers=providers,
        precision=precision,
        chunk=chunk,
        max_memory=max_memory,
    )


def generate(
    n: int = 1,
    *,
    model: str | os.PathLike[str] = "fashion",
    precision: str = "float32",
    seed: int | None = None,
    start: int = 0,
    temperature: float = 1.0,
    labels: Labels | None = None,
    out: npt.NDArray[Any] | None = None,
    dtype: str = "float32",
) -> Any:
    """`VAE.generate` of a bundle that is loaded once a process."""
    vae = _loaded(bundle.find(model).absolute(), precision)
    return vae.generate(
        n, seed=seed, start=start, temperature=temperature, labels=labels, out=out, dtype=dtype
    )


# Two threads that come first at once may both load it; a lock could be held during a fork.
@functools.lru_cache(maxsize=8)
def _loaded(path: Path, precision: str) -> VAE:
    return load(path, precision=precision)


def _variant(bundle: bundle.Bundle, precision: str) -> str:
    if precision not in VARIANTS:
        raise InputError(f"precision: expected {' or '.join(VARIANTS)}, got {precision!r:.60}")
    if (variant := VARIANTS[precision]) not in bundle.variants:
        raise BundleError(
            f"{bundle.path}: precision {precision!r} was asked for, and the bundle has only "
            f"{', '.join(bundle.variants)}; make it with `edgevae compile --{variant}`"
        )
    return variant


def _threads(threads: int | None) -> int:
    return usable_threads() if threads is None else checks.whole(threads, "threads", least=1)

"""`VAE`, a model ready to use: generate, encode, decode, reconstruct, denoise, vary, score.

Rows are numbered, and the latent of row i is a function of (seed, i) alone. So n rows are the
same rows in one call or in many, on one thread or on all.
"""

import functools
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from edgevae import bundle as bundles
from edgevae import checks, denoising, scoring, tiling
from edgevae.bundle import Bundle
from edgevae.data import ClassNumbers, Items, Labels, class_numbers, classes_in_turn
from edgevae.engine import Graph, Placement, Plan, ProviderSpec, Runner
from edgevae.errors import InputError
from edgevae.latents import Posterior, paths, read_latents, widened
from edgevae.sampling import MixtureTable
from edgevae.scoring import Scorer

Floats = npt.NDArray[np.float32]
T = TypeVar("T")


class VAE:
    """A bundle, opened on an execution provider; `edgevae.load` makes one.

    A VAE can be shared between threads, pickled (by the bundle's path) and used after a fork.
    `runner` runs its graphs on rows that were checked before.
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
    ) -> None:
        self._arguments: dict[str, Any] = {
            "provider": provider,
            "threads": threads,
            "providers": providers,
            "precision": precision,
            "chunk": chunk,
            "max_memory": max_memory,
        }
        self.runner = Runner(bundle, **self._arguments)
        self.bundle = bundle
        self._data, self._latent_shape = bundle.data, bundle.latent_shape
        self._classes, self._owner = bundle.classes, f"bundle {bundle.name!r}"
        self.precision = self.runner.precision
        self.threads = self.runner.threads
        # Tables that are read from the bundle on first use, by the property's name.
        # There is no lock that a fork could copy: at worst two threads read the same table.
        self._tables: dict[str, Any] = {}
        self._last_scorer: Scorer | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        tables = {
            name: table
            for name, table in self._tables.items()
            if name in ("statistics", "calibration")  # which `calibrate` may have replaced
        }
        return (
            functools.partial(load, **self._arguments),
            (self.bundle.path,),
            {"_tables": tables},
        )

    def __repr__(self) -> str:
        return (
            f"<edgevae.VAE {self.bundle.name!r} on {self.runner.preference}, "
            f"threads={self.threads}, {self.precision}>"
        )

    @property
    def provider(self) -> str:
        """The short name of the execution provider in use, such as "cpu".

        Reading it opens the decoder, unless the CPU is the only provider to try.
        """
        return self.runner.provider

    @property
    def providers(self) -> dict[str, Placement]:
        """The nodes of each role's graph by provider. Reading it opens all graphs."""
        return self.runner.placements()

    def graph(self, role: str) -> Graph:
        """Return the graph of a role, such as "decoder". Raises `InputError` if there is none."""
        return self.runner.graph(role)

    def plan(self, role: str) -> Plan:
        """Return how the rows of a role's graph are divided, and where that comes from."""
        return self.runner.plan(role)

    @property
    def prior(self) -> MixtureTable | None:
        """The mixture that generation draws from; None is the standard normal."""
        return self.runner.prior.mixture

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
        """Draw the latents of rows start .. start + n - 1: float32 (n, *latent_shape).

        They are the same, bit for bit, on every machine, however the rows are divided among
        calls. `labels` are as in `generate`; they matter if each class has a prior of its own.
        """
        n, seed, start, temperature = self._check_drawing(n, seed, start, temperature)
        z: Floats = checks.output_array((n, *self.bundle.latent_shape), "float32")
        y = self._generated_classes(labels, n, start)
        return self.runner.prior.draw(
            n, seed=seed, start=start, temperature=temperature, y=y, out=z
        )

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
        """Decode the latents of rows start .. start + n - 1 of the stream `seed`.

        Returns float32 (n, *x_shape) in the range of training or, for images with dtype "uint8",
        (n, H, W, C). For text it returns a list of n strings; `decode` of `sample` gives the
        probabilities of their characters.

        `seed` is an int in [0, 2^64); None takes a fresh one. `temperature` >= 0 scales the
        noise within a component of the prior, not the choice of the component. `labels`, for a
        bundle with classes, is one class, by number or name, or n of them; by default row i is of
        class i modulo the number of classes, whatever `start` is. `out`, C-contiguous and of the
        result's shape and dtype, is filled and returned. Raises `InputError`.
        """
        n, seed, start, temperature = self._check_drawing(n, seed, start, temperature)
        y = self._generated_classes(labels, n, start)
        prior = self.runner.prior
        if (
            out is None
            and type(dtype) is str
            and dtype == "float32"
            and not self._data.is_text
            and self.runner.is_one_call(n)
        ):
            z = prior.draw(n, seed=seed, start=start, temperature=temperature, y=y)
            return self.runner.decode(z, y)
        x_hat = self._allocate(n, dtype, out)

        def latents(first: int, last: int) -> Floats:
            rows_y = None if y is None else y[first:last]
            return prior.draw(
                last - first, seed=seed, start=start + first, temperature=temperature, y=rows_y
            )

        self.runner.decode_into(latents, x_hat, y)
        return self.bundle.data.result(x_hat)

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
        """Yield the rows of `generate(n, ...)` in batches, holding one batch at a time.

        Batches have `batch` rows, the last one possibly fewer. None takes a few chunks for each
        worker, but no more than half of `max_memory` holds.
        """
        n, seed, start, temperature = self._check_drawing(n, seed, start, temperature)
        y = None if labels is None else self._class_numbers(labels, n)
        row_bytes = self._allocate(1, dtype, None).nbytes
        if batch is None:
            batch = self.runner.batch_rows(row_bytes)
        batch = checks.integer(batch, "batch", least=1)
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
        """Return q(z|x) of each item of x, in any form that `reconstruct` takes.

        A single item is a batch of one. Raises `InputError` for a wrong type, shape or dtype,
        for NaN and infinity, and for values far outside of the range the model was trained on.
        """
        return self.runner.encode(self._data.rows(x))

    def activations(self, x: Any) -> Floats:
        """Return the encoder's hidden activations h of each item of x: float32 (N, H).

        They are the activations after each layer, which the score `nap` compares. x is as in
        `reconstruct`. Raises `InputError` if the bundle has no graph of them.
        """
        self.runner.graph("activations")  # raises before x is read if there is none
        return self.runner.activations(self._data.rows(x))

    def decode(
        self,
        z: npt.ArrayLike,
        *,
        labels: Labels | None = None,
        tile: bool = False,
        overlap: int | None = None,
        out: Floats | None = None,
    ) -> Floats:
        """Return x_hat of latents: float32 (N, *x_shape), or (*x_shape) for a single latent.

        z is (N, *latent_shape) or (*latent_shape). A bundle with classes needs `labels`: one
        class, by number or name, or N of them.

        With `tile`, for fully convolutional decoders, the latents may be larger, (N, C, H, W) or
        (C, H, W). They are decoded in tiles of latent_shape, so that a large picture takes the
        memory of a few tiles beside the result. Neighbours share `overlap` cells; None is
        `bundle.tiles.overlap`. `out`, with `tile` only, is filled and returned and may be a
        numpy.memmap.
        """
        if tile is not False and checks.flag(tile, "tile"):
            return tiling.decode(self.runner, z, labels, overlap, out)
        if overlap is not None or out is not None:
            raise InputError("overlap, out: expected with tile=True alone; leave them out")
        rows, single = read_latents(z, self._latent_shape)
        y = self._class_numbers(labels, len(rows)) if self._classes or labels is not None else None
        x_hat = self.runner.decode(rows, y)
        return x_hat[0] if single else x_hat

    def reconstruct(self, x: Any, *, labels: Labels | None = None) -> Any:
        """Return x_hat at z = mu, in the type of x.

        x is float (N, *x_shape) within the bundle's range or, for images, uint8 (N, H, W, C),
        both also without N. For images it may also be a PIL image or the path of one, of the
        bundle's size, which gives a PIL image; for text a str. A list of any of these gives a
        list. `labels` are as in `decode`; another class than that of x gives the item of that
        class that is most like x.
        """
        items = self.bundle.data.read(x)
        y = self._class_numbers(labels, len(items.rows))
        return items.back(self.runner.reconstruct(items.rows, y))

    def denoise(
        self,
        x: Any,
        sigma: float | npt.ArrayLike | None = None,
        *,
        labels: Labels | None = None,
    ) -> Any:
        """Return x without its noise, in the type of x, by an encoder that was trained under noise.

        `sigma` is the standard deviation of the noise in x's units: one number, or one for each
        item. None estimates it from each image, and a clean image comes back almost unchanged.
        The result combines x_hat with x itself, as `edgevae.denoising` explains, by a table in
        the bundle; without the table it is `reconstruct(x)`, whatever sigma is. `labels` are as
        in `decode`. Raises `InputError` if the bundle was not trained to denoise.
        """
        if not self.bundle.noise:
            raise InputError(
                f"bundle {self.bundle.name!r} was not trained to denoise (noise is 0 in its "
                f"manifest): use reconstruct, or train with noise augmentation"
            )
        items = self.bundle.data.read(x)
        y = self._class_numbers(labels, len(items.rows))
        return items.back(denoising.denoise(self.runner, self.denoising, items.rows, sigma, y))

    @property
    def denoising(self) -> denoising.Table | None:
        """The table that `denoise` uses; None if the bundle has none."""
        return self._table("denoising", denoising.read)

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
        """Return n >= 1 variations of each item of x, each different from x and similar to it.

        A single item gives a batch of n, or a list of PIL images or str. A batch (N, ...) gives
        (N, n, ...), and a list gives one list for each item.

        Strength 1 draws from the posterior, mu + std * eps. Below 1 the noise is scaled, and at 0
        every variation is the reconstruction. Above 1 the noise grows towards the differences
        among similar items (`latents.widened`). With the shipped `fashion`, 1 is hard to
        tell from the reconstruction, 2 and 3 change soles, seams, prints and edges of a garment,
        and 10 gives another garment of its kind.

        Item i takes the noise of row start + i of the stream `seed`, purpose posterior. `labels`
        are as in `decode`: one, or one for each item.
        """
        n = checks.integer(n, "n", least=1)
        strength = checks.nonnegative(strength, "strength", "1 is the posterior itself")
        seed, start = checks.seed(seed), checks.start(start)
        items = self.bundle.data.read(x)
        checks.fitting(n * len(items.rows), "n", self.bundle.x_shape)
        y = self._class_numbers(labels, len(items.rows))
        if self.bundle.model == "autoencoder":
            raise InputError(
                f"bundle {self.bundle.name!r} is an autoencoder, whose items have one latent each "
                f"and no posterior to draw others from: vary takes a vae"
            )
        posterior = widened(self.runner.encode(items.rows), self.prior, strength)
        z = posterior.sample(n, seed=seed, start=start).reshape(-1, *self.bundle.latent_shape)
        x_hat = self.runner.decode(z, None if y is None else np.tile(y, n))
        return items.several(x_hat.reshape(n, len(items.rows), *self.bundle.x_shape))

    def interpolate(
        self,
        a: Any,
        b: Any,
        steps: int,
        *,
        spherical: bool = False,
        labels: Labels | None = None,
    ) -> Any:
        """Return `steps` >= 2 items on the path from a's mu to b's, both ends included.

        a and b are single items as `reconstruct` takes them. The result is a batch, or a list of
        PIL images or str, after the type of a. `labels` are as in `decode`: one, or one for each
        step.

        The path is a line or, if `spherical`, a great circle. In many dimensions the middle of a
        line is nearer to the origin than either end, where N(0, I) has almost no mass. So take
        the circle if the prior is the standard normal and latents lie on its shell, of radius
        sqrt(dims). With a mixture prior, such as that of `fashion`, the line is as good.
        """
        steps = self._check_steps(steps)
        y = self._class_numbers(labels, steps)
        path = paths.arc if checks.flag(spherical, "spherical") else paths.line
        first, last = self._read_one(a, "a"), self._read_one(b, "b")
        ends = self.runner.encode(np.concatenate([first.rows, last.rows])).mu
        return first.restore(self.runner.decode(path(ends[0], ends[1], steps), y))

    def traverse(
        self,
        z: Any,
        dim: int,
        steps: int = 9,
        *,
        span: float = 1.5,
        labels: Labels | None = None,
    ) -> Any:
        """Return `steps` >= 2 items along one dimension of the latent, all others as in z.

        z is one latent, or one item as `reconstruct` takes it, which stands for its mu. The
        result is a batch float32 (steps, *x_shape), or after the type of the item. `dim` counts
        in the flattened latent. `labels` are as in `decode`: one, or one for each step.

        The dimension goes from `span` standard deviations below the prior's median to as many
        above. If the prior is a mixture, it goes through the same quantiles of the mixture given
        z's other dimensions, so that the items stay like the data. With `fashion`, a span of 1.5
        keeps them about as near to training images as reconstructions are.
        """
        dim = checks.integer(dim, "dim", most=self.bundle.dims - 1)
        steps = self._check_steps(steps)
        span = checks.nonnegative(span, "span", "in standard deviations of the prior")
        y = self._class_numbers(labels, steps)
        if isinstance(z, np.ndarray) and z.shape == self.bundle.latent_shape:
            latent, restore = checks.latents(z), None
        else:
            item = self._read_one(z, "z")
            (latent,), restore = self.runner.encode(item.rows).mu, item.restore
        positions = paths.positions(self.prior, latent, dim, steps, span)
        x_hat = self.runner.decode(paths.along(latent, dim, positions), y)
        return x_hat if restore is None else restore(x_hat)

    # --- anomaly scores -----------------------------------------------------------------------

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
        """Return how anomalous each item of x is; `edgevae.scoring` explains the methods.

        x is as in `reconstruct`. The scores of a calibrated method come with p-values, and with
        flags at the level `alpha` or, if that is None, at the calibration's.
        """
        rows = self._data.rows(x)
        return self._scorer().score(
            rows, method, alpha=alpha, draws=draws, seed=seed, start=start, fdr=fdr
        )

    def calibrate(
        self,
        x_normal: Any,
        alpha: float = 0.01,
        *,
        methods: Sequence[str] | None = None,
        draws: int = scoring.DRAWS,
    ) -> "VAE":
        """Return a VAE that gives p-values, calibrated by normal items that it was not trained on.

        `save` writes it as a bundle. The arguments are those of `scoring.Scorer.calibrate`.
        """
        rows = self._data.rows(x_normal)
        # Without the calibration in use, which may be damaged and is replaced.
        scorer = Scorer(self.runner, self.statistics)
        scorer = scorer.calibrate(rows, alpha, methods=methods, draws=draws)
        calibrated = object.__new__(VAE)  # copy.copy would open the bundle again
        calibrated.__dict__.update(self.__dict__)
        calibrated._tables = {
            **self._tables,
            "statistics": scorer.statistics,
            "calibration": scorer.calibration,
        }
        return calibrated

    def save(self, path: str | os.PathLike[str]) -> Bundle:
        """Write the bundle with the statistics and calibration in use, as `bundle.write` does."""
        return self._scorer().save(path)

    @property
    def statistics(self) -> scoring.Statistics | None:
        """The statistics of the training items; None if the bundle has none."""
        return self._table("statistics", scoring.read_statistics)

    @property
    def calibration(self) -> scoring.Calibration | None:
        """The scores of held-out normal items; None if the bundle has none."""
        return self._table("calibration", scoring.read_calibration)

    # --- arguments ---------------------------------------------------------------------------

    def _scorer(self) -> Scorer:
        tables = self.statistics, self.calibration
        scorer = self._last_scorer
        if (
            scorer is None
            or scorer.statistics is not tables[0]
            or scorer.calibration is not tables[1]
        ):
            scorer = self._last_scorer = Scorer(self.runner, *tables)
        return scorer

    def _table(self, name: str, read: Callable[[Bundle], T]) -> T:
        if name not in self._tables:
            self._tables[name] = read(self.bundle)
        table: T = self._tables[name]
        return table

    def _check_steps(self, steps: int) -> int:
        steps = checks.integer(steps, "steps", least=2)
        return checks.fitting(steps, "steps", self.bundle.x_shape)

    def _read_one(self, x: Any, name: str) -> Items:
        items = self.bundle.data.read(x)
        if len(items.rows) != 1:
            raise InputError(f"{name}: expected a single item, got {len(items.rows)}")
        return items

    def _class_numbers(self, labels: Labels | None, n: int) -> ClassNumbers | None:
        """Return the checked class number of each of n rows; None for a bundle without classes."""
        return class_numbers(labels, self._classes, n)

    def _generated_classes(self, labels: Labels | None, n: int, start: int) -> ClassNumbers | None:
        """Return the class number of each of n generated rows, each class in turn by default."""
        if labels is None:
            return classes_in_turn(self._classes, n, start)
        return self._class_numbers(labels, n)

    def _check_drawing(
        self, n: int, seed: int | None, start: int, temperature: float
    ) -> tuple[int, int, int, float]:
        """Return the checked arguments of a draw from the prior; `InputError` if there is none."""
        if self.bundle.prior == "none":
            raise InputError(
                f"bundle {self.bundle.name!r} is an autoencoder, which has no prior to draw z "
                f"from: encode, decode and reconstruct work; fit a mixture to latents that it "
                f"encodes and compile it with that (--prior) to generate"
            )
        return checks.drawing(n, seed, start, temperature)

    def _allocate(self, n: int, dtype: str, out: npt.NDArray[Any] | None) -> npt.NDArray[Any]:
        """Return the array to fill: `out`, if it has the result's shape and dtype, or a new one."""
        return self._data.allocate(n, dtype, out, owner=self._owner)


def load(
    name_or_path: str | os.PathLike[str] = "fashion",
    provider: str = "auto",
    threads: int | None = None,
    *,
    providers: Sequence[ProviderSpec] | None = None,
    precision: str = "float32",
    chunk: int | None = None,
    max_memory: int | str | None = None,
) -> VAE:
    """Open a bundle: a shipped one by its name, any other by its path.

    `provider` is "auto" or the name of one, which is used or refused. "auto" is the one that
    `edgevae tune` found to be the fastest on this machine or, if it did not compare all, an
    accelerator if onnxruntime has one that works, else the CPU. `threads` is how many to use; None
    takes the cores that affinity and cgroup quota leave to this process. `providers`, instead of
    `provider`, is a list of names or (name, options) as onnxruntime takes it: each is used or
    refused, and nodes that they do not take run on the CPU.

    `precision` is "float32"; "int8" for a bundle with such graphs, whose cost is in
    `vae.bundle.quality`; "bf16" for a provider that supports it; or "auto", which is float32 unless
    `edgevae tune --min-psnr` found a faster one that is similar enough. `vae.precision` is the one
    in use.

    `chunk` is how many rows a worker runs at a time; None takes the plan measured by `edgevae
    tune`, or the bundle's, or a guess, as `vae.plan("decoder")` says. `max_memory`, in bytes or
    as "64MB", bounds the memory of a call beyond the caller's arrays, the bundle's weights and
    onnxruntime itself: half is for rows in flight, whose size is estimated if the manifest does
    not state it, half for a batch of `stream`. Raises `BundleError`, `InputError`,
    `ProviderError`.
    """
    return VAE(
        bundles.read(bundles.find(name_or_path)),
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
    """Call `VAE.generate` of a bundle, which is loaded once in a process."""
    precision = checks.text(precision, "precision", "float32")
    vae = _loaded(bundles.find(model).absolute(), precision)
    return vae.generate(
        n, seed=seed, start=start, temperature=temperature, labels=labels, out=out, dtype=dtype
    )


# Two threads that come first at the same time may both load the bundle; a fork could copy a lock.
@functools.lru_cache(maxsize=8)
def _loaded(path: Path, precision: str) -> VAE:
    return load(path, precision=precision)

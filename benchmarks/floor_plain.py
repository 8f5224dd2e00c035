"""The plain side of `bench_floor.py`: what edgevae's verbs do, by onnxruntime and numpy alone."""

import math
import time
from pathlib import Path
from typing import Any

import numpy as np

from edgevae import VAE
from edgevae.engine import onnxruntime

CHUNKS = (1, 16, 64, 256)  # beside all rows
CHOICE = 0.03  # seconds for each candidate of the best chunk

Floats = np.ndarray


class Plain:
    """A script that does what a bundle's verbs do, on the given graphs."""

    def __init__(self, encoder: Path, decoder: Path, vae: VAE, threads: int) -> None:
        options = onnxruntime().SessionOptions()
        if threads == 1:
            options.intra_op_num_threads = 1
        self.sessions, self.input_names = {}, {}
        for role, path in (("encoder", encoder), ("decoder", decoder)):
            session = onnxruntime().InferenceSession(
                path, options, providers=["CPUExecutionProvider"]
            )
            self.sessions[role], self.input_names[role] = session, session.get_inputs()[0].name
        self.vae = vae
        self.x_shape = tuple(self.sessions["encoder"].get_inputs()[0].shape[1:])
        self.rng = np.random.default_rng(7)
        sigma = vae.bundle.likelihood.get("sigma", 1.0)
        self.sigma = np.float32(sigma)
        self.constant = math.log(sigma) + math.log(2 * math.pi) / 2
        if vae.prior is not None:
            weights = vae.prior.weights.astype(np.float64)
            self.weights = weights / weights.sum()
        self.chunks: dict[tuple[str, int], int] = {}

    def run(self, role: str, x: Floats, chunk: int) -> list[Floats]:
        """Return a graph's outputs for all rows of x."""
        session, name = self.sessions[role], self.input_names[role]
        n = len(x)
        if chunk >= n:
            return session.run(None, {name: x})
        outputs: list[Floats] = []
        for i in range(0, n, chunk):
            parts = session.run(None, {name: x[i : i + chunk]})
            if not outputs:
                outputs = [np.empty((n, *part.shape[1:]), np.float32) for part in parts]
            for output, part in zip(outputs, parts, strict=True):
                output[i : i + chunk] = part
        return outputs

    def choose(self, role: str, x: Floats) -> int:
        """Return the chunk of the fastest loop over a graph, of all candidates."""
        key = role, len(x)
        if key not in self.chunks:
            seconds: dict[int, float] = {}
            for chunk in sorted({*(c for c in CHUNKS if c < len(x)), len(x)}, reverse=True):
                end, best = time.perf_counter() + CHOICE, math.inf
                while best == math.inf or time.perf_counter() < end:
                    begin = time.perf_counter()
                    self.run(role, x, chunk)
                    best = min(best, time.perf_counter() - begin)
                seconds[chunk] = best
            self.chunks[key] = min(seconds, key=seconds.__getitem__)
        return self.chunks[key]

    def draw(self, n: int) -> Floats:
        """Return latents of the prior."""
        shape = (n, *self.vae.bundle.latent_shape)
        z = self.rng.standard_normal(shape, np.float32)
        if (mixture := self.vae.prior) is not None:
            component = self.rng.choice(len(self.weights), n, p=self.weights)
            flat = z.reshape(n, -1)
            flat *= mixture.scales[component]
            flat += mixture.means[component]
        return z

    def generate(self, n: int, chunk: int) -> Any:
        """Return n packed items of the prior."""
        return self.pack(self.run("decoder", self.draw(n), chunk)[0])

    def pack(self, x_hat: Floats) -> Any:
        """Return pixels of 8 bits, strings or, for other data, x_hat itself."""
        data = self.vae.bundle.data
        if data.drawable:
            low, high = data.x_range
            scaled = (x_hat - np.float32(low)) * np.float32(255 / (high - low))
            pixels = np.rint(scaled).clip(0, 255).astype(np.uint8)
            last = x_hat.shape[1:] != data.x_shape
            return pixels if last else np.ascontiguousarray(pixels.transpose(0, 2, 3, 1))
        if not data.is_text:
            return x_hat
        symbols = np.array([*data.alphabet, "\0"])[x_hat.argmax(2)]
        return ["".join(row).partition("\0")[0].title() for row in symbols]

    def score(self, method: str, x: Floats, encoder_chunk: int, decoder_chunk: int) -> Any:
        """Return the scores of x and, for a calibrated bundle, their p-values."""
        n, statistics = len(x), self.vae.statistics
        mu, logvar = self.run("encoder", x, encoder_chunk)
        (x_hat,) = self.run("decoder", mu, decoder_chunk)
        if method == "mahalanobis":
            values = distance(mu, statistics)
        else:
            if self.vae.bundle.data.is_text:
                values = -(x * np.log(np.maximum(x_hat, 1e-7))).reshape(n, -1).sum(1)
            else:
                values = np.square((x - x_hat) / self.sigma).reshape(n, -1).sum(1) / 2
            if method == "default":
                logs = np.stack([np.log(values), np.log(distance(mu, statistics))], 1)
                values = ((logs - statistics.location) / statistics.scale).sum(1)
            elif not self.vae.bundle.data.is_text:
                values += self.constant * x[0].size
            if method == "elbo":
                kl = (np.square(mu) + np.exp(logvar) - 1 - logvar).reshape(n, -1).sum(1) / 2
                values += kl
        calibration = self.vae.calibration
        if calibration is None or method not in calibration.scores:
            return values
        known = calibration.scores[method]
        p = (1 + len(known) - np.searchsorted(known, values)) / (len(known) + 1)
        return values, p, p <= calibration.alpha


def distance(mu: Floats, statistics: Any) -> Floats:
    """Return the Mahalanobis distance of mu."""
    offset = (mu.reshape(len(mu), -1) - statistics.mu.mean) @ statistics.mu.matrix
    return np.sqrt(np.square(offset).sum(1))

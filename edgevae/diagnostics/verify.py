"""Check that this device computes the outputs that a bundle carries, by every graph it holds."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edgevae import sampling
from edgevae.bundle import ANY, Bundle, GraphEntry
from edgevae.engine import UNTUNED, Runner
from edgevae.vae import VAE

# sha256 of the little-endian bytes of stream 1's normal(257, 33, seed=2**64 - 59, start=2**32 - 7).
GOLDEN = "eb57002701975b7ba0d6459f6df8799273a9e4ad8aff70c26fee0bdb0568effd"

# The least peak signal-to-noise ratio of the outputs of int8 graphs, in dB.
MIN_PSNR = 50.0

# bfloat16 has 8 bits of precision. The tolerance is that of 16 roundings in the same direction, as
# a share of the largest number.
_BF16 = 16 * 2.0**-8

Outputs = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class GraphCheck:
    """The outputs of one graph, compared with those that the bundle carries.

    `file` and `target` are those of the bundle's entry, `precision` and `provider` say how it ran,
    and `in_use` is True for the graphs that the VAE uses. `differences` has the difference of each
    output by its name: the largest absolute one where `measure` is "max", the root of the mean
    square where it is "rms", for int8. `limits` has the largest differences allowed.
    """

    file: str
    target: str
    precision: str
    provider: str
    in_use: bool
    measure: str
    differences: Mapping[str, float]
    limits: Mapping[str, float]

    @property
    def failed(self) -> list[str]:
        """The names of the outputs that differ by more than the limit, or are NaN."""
        return [key for key, value in self.differences.items() if not value <= self.limits[key]]

    def __str__(self) -> str:
        outputs = ", ".join(
            f"{key} {value:.1e}, at most {self.limits[key]:.1e}"
            for key, value in self.differences.items()
        )
        where = f"{self.precision} on {self.provider}{', in use' if self.in_use else ''}"
        words = f"FAILED: {', '.join(self.failed)}" if self.failed else "ok"
        return f"{self.file:<24} {where}: {self.measure} difference of {outputs}: {words}"


@dataclass(frozen=True)
class Verification:
    """The outputs of all graphs of a bundle, compared with those that the bundle carries.

    `provider` and `precision` are those of the VAE, which ran the graphs in use; onnxruntime's
    CPU provider ran the others. `stream` is True if the golden latents are equal bit for bit.
    """

    bundle: str
    provider: str
    precision: str
    graphs: tuple[GraphCheck, ...]
    stream: bool

    @property
    def failed(self) -> list[str]:
        """The graphs that failed, such as "decoder.onnx (x_hat)", and "stream" if that did."""
        graphs = [f"{each.file} ({', '.join(each.failed)})" for each in self.graphs if each.failed]
        return graphs if self.stream else [*graphs, "stream"]

    def __str__(self) -> str:
        stream = f"stream: golden latents, to the bit: {'ok' if self.stream else 'FAILED'}"
        lines = [f"{self.bundle}, against the outputs it carries:", *map(str, self.graphs), stream]
        return "\n  ".join(lines)


def verify(vae: VAE) -> Verification:
    """Compare the outputs of all graphs, and the golden latents, with the expected ones.

    The graphs in use run as the VAE runs them, every other file of the bundle on the CPU.
    """
    in_use = verify_runner(vae.runner)
    expected, seen = vae.bundle.selfcheck(), {check.file for check in in_use}
    others = {entry.file: entry for entry in vae.bundle.graphs if entry.file not in seen}
    return Verification(
        bundle=vae.bundle.name,
        provider=vae.provider,
        precision=vae.precision,
        graphs=(*in_use, *(_check_on_cpu(vae.bundle, each, expected) for each in others.values())),
        stream=_stream_sha256() == GOLDEN,
    )


def verify_runner(runner: Runner) -> tuple[GraphCheck, ...]:
    """Compare the outputs of the graphs that a runner uses with the expected ones."""
    expected = runner.bundle.selfcheck()
    checks = []
    for role in runner.bundle.roles:
        got = _outputs(runner, role, expected)
        graph = runner.graph(role)
        provider = graph.open(runner.threads)
        precision = "bf16" if runner.precision == "bf16" else graph.entry.precision
        checks.append(
            _compare(runner.bundle, graph.entry, precision, expected, got, provider, in_use=True)
        )
    return tuple(checks)


def _check_on_cpu(bundle: Bundle, entry: GraphEntry, expected: Outputs) -> GraphCheck:
    """Run a graph, of whatever target, on onnxruntime's CPU provider and compare its outputs."""
    others = (each for each in bundle.graphs if each.role != entry.role)
    alone = replace(bundle, graphs=(*others, replace(entry, target=ANY)))
    runner = Runner(alone, "cpu", precision=entry.precision, tuning=UNTUNED)
    got = _outputs(runner, entry.role, expected)
    return _compare(bundle, entry, entry.precision, expected, got, "cpu", in_use=False)


def _outputs(runner: Runner, role: str, expected: Outputs) -> Outputs:
    """Return the outputs of a role for the inputs that a bundle carries."""
    if role == "encoder":
        posterior = runner.encode(expected["x"])
        return {"mu": posterior.mu, "logvar": posterior.logvar}
    if role == "decoder":
        return {"x_hat": runner.decode(expected["z"], expected.get("y"))}
    return {"h": runner.activations(expected["x"])}


def _compare(
    bundle: Bundle,
    entry: GraphEntry,
    precision: str,
    expected: Outputs,
    outputs: Outputs,
    provider: str,
    *,
    in_use: bool,
) -> GraphCheck:
    """Compare a graph's outputs with the expected ones, as the precision allows."""
    measure, differences, limits = "max", {}, {}
    for name, output in outputs.items():
        own = expected.get(f"{name}.int8") if precision == "int8" else None
        right = expected[name] if own is None else own
        error = np.subtract(output, right, dtype=np.float64)
        if own is None:
            differences[name] = float(np.abs(error).max(initial=0))
            limits[name] = bundle.allowed_difference(entry.role, precision)
            if precision == "bf16":
                limits[name] += _BF16 * float(np.abs(right).max(initial=0))
        else:
            measure = "rms"
            differences[name] = float(np.sqrt(np.square(error).mean()))
            limits[name] = _int8_limit(right, bundle.tolerance)
    return GraphCheck(
        entry.file, entry.target, precision, provider, in_use, measure, differences, limits
    )


def _int8_limit(right: npt.NDArray[np.float32], tolerance: float) -> float:
    """Return the largest root mean square difference from what int8 gave where it was made.

    It is that of MIN_PSNR dB, 20 log10(peak / difference), where the peak is the largest expected
    number minus the smallest; but at least the bundle's tolerance.
    """
    return max(tolerance, float(np.ptp(right)) / 10 ** (MIN_PSNR / 20))


def _stream_sha256() -> str:
    golden = sampling.normal(257, 33, seed=2**64 - 59, start=2**32 - 7)
    return hashlib.sha256(golden.astype("<f4").tobytes()).hexdigest()

"""The graphs that a bundle can run on this machine, and whether each computes what it should."""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from edgevae.bundle import Bundle, read
from edgevae.data import psnr
from edgevae.diagnostics.fresh_process import run_python
from edgevae.diagnostics.verify import verify_runner
from edgevae.engine import UNTUNED, Runner, providers, targets

# The number of latents, and the most numbers in their x_hat, by which bf16 is compared with
# float32.
_PSNR_ROWS = 64
_PSNR_NUMBERS = 1 << 22


_TRIAL = (
    "import json, sys; from edgevae.diagnostics.tune import candidates; "
    "candidates.try_out(*json.loads(sys.argv[1]))"
)


class Candidate(NamedTuple):
    """The graphs of one target, run by a provider in a precision."""

    provider: str
    precision: str
    target: str


def settings(
    bundle: Bundle, names: Sequence[str], precisions: Sequence[str] | None
) -> list[tuple[str, str]]:
    """Return the pairs of a provider and a precision to measure; None stands for all precisions."""
    return [
        (name, precision)
        for name in names
        for precision in precisions or (*bundle.precisions, "bf16")
        if precisions or precision != "bf16" or name in providers.BF16
    ]


def candidates(bundle: Bundle, provider: str, precision: str) -> Iterator[Candidate]:
    """Yield the candidates of a setting that differ in a file, the most suitable target first."""
    known = set()
    for target in targets(provider):
        entries = [bundle.graph(role, precision, (target,)) for role in bundle.roles]
        files = tuple(entry.file for entry in entries)
        if files not in known and target in {entry.target for entry in entries}:
            yield Candidate(provider, precision, target)
            known.add(files)


def opened(bundle: Bundle, candidate: Candidate, threads: int | None) -> Runner:
    """Return the bundle with the graphs of a candidate alone, without what was tuned before.

    Raises `InputError` or `ProviderError` if the provider is unknown, absent or unsuitable.
    """
    provider, precision, target = candidate
    graphs = {
        bundle.graph(role, at, (target,)).key
        for role in bundle.roles
        for at in ("float32", precision)
    }
    restricted = replace(bundle, graphs=tuple(each for each in bundle.graphs if each.key in graphs))
    return Runner(restricted, provider, threads, precision=precision, tuning=UNTUNED)


def crash(bundle: Bundle, candidate: Candidate, threads: int | None) -> str:
    """Run the self-check of a candidate in another process; return how that crashed, if it did.

    A provider's library can end its process, which would end the whole comparison. Exceptions
    are no crash: `opened` and `refusal` raise them again.
    """
    done = run_python("-c", _TRIAL, json.dumps([str(bundle.path), *candidate, threads]))
    if done.returncode in (0, 1):  # 1 after an exception
        return ""
    return f"it ended a process, with status {done.returncode}, in which it was tried"


def try_out(path: str, provider: str, precision: str, target: str, threads: int | None) -> None:
    """Run the self-check of a candidate, in the process that `crash` starts."""
    refusal(opened(read(path), Candidate(provider, precision, target), threads))


def refusal(runner: Runner) -> str:
    """Return why the outputs of a runner fail the bundle's self-check; "" if they pass."""
    return ", ".join(
        f"{key} differs from PyTorch's by {check.differences[key]:.1e}, above "
        f"{check.limits[key]:.1e}"
        for check in verify_runner(runner)
        for key in check.failed
    )


def similarity(reference: Runner, runner: Runner) -> float | None:
    """Return the PSNR in dB between the pixels of a runner and those of float32.

    It is the lower one of the pixels that are decoded from latents of the prior and of those that
    are reconstructed. For int8 it is the manifest's, if that has one, which was measured on more
    items. None stands for float32 itself.
    """
    if runner.precision == "float32":
        return None
    bundle = runner.bundle
    quality = bundle.quality.get(runner.precision, {})
    stated = [quality[key] for key in ("decoder_psnr", "encoder_psnr") if key in quality]
    if stated:
        return min(stated)
    rows = max(1, min(_PSNR_ROWS, _PSNR_NUMBERS // math.prod(bundle.x_shape)))
    z = reference.prior.draw(rows, seed=2)
    y = np.arange(rows) % len(bundle.classes) if bundle.classes else None
    expected = reference.decode(z, y)
    figures = [psnr(expected, runner.decode(z, y), bundle.x_range)]
    if bundle.encodes:
        again = reference.reconstruct(expected, y)
        figures.append(psnr(again, runner.reconstruct(expected, y), bundle.x_range))
    return min(figures)


def words(error: Exception) -> str:
    """Return an exception in one line."""
    return " ".join(str(error).split()) or type(error).__name__

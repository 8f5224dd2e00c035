"""Targets: the processors and providers that graphs are rewritten for.

A rewrite that helps one engine can hurt another. onnxruntime's CPU provider computes convolutions
on x86_64 in a blocked layout, 8 or 16 channels at a time; its official builds for aarch64 have no
such layout there: a convolution copies the pixels that each output reads into a matrix (im2col)
and multiplies. So graphs are chosen by target: by racing them on this machine, where it can run
graphs as the target does, and by the cost model of `cost` otherwise.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from edgevae.bundle import ANY
from edgevae.engine import GENERIC, architecture
from edgevae.errors import InputError


class Costs(NamedTuple):
    """The costs that the cost model counts, on one thread.

    conv, gemm: nanoseconds of a multiply-add of a convolution, and of a product of matrices.
    copy: nanoseconds of a byte that is read and written.
    scatter: nanoseconds of a product that a transposed convolution adds to its output.
    node: microseconds of an operator, whatever its size.
    lanes: the output channels that a convolution computes at once; 1 if it multiplies matrices of
        copied pixels.
    """

    conv: float
    gemm: float
    copy: float
    scatter: float
    node: float
    lanes: int


class Target(NamedTuple):
    """Processors or providers that a graph can be rewritten for.

    without: the passes that are not tried, as they never gain there.
    raced_on: the architectures of machines that can race graphs for the target, and onnxruntime's
        optimizers that are disabled in these races.
    costs: the parameters of its cost model.
    """

    name: str
    without: frozenset[str]
    raced_on: Mapping[str, tuple[str, ...]]
    costs: Costs

    @property
    def disabled(self) -> tuple[str, ...] | None:
        """The optimizers to disable in races on this machine; None if it cannot race for it."""
        return self.raced_on.get(architecture())


# Fitted to the times of one call, of 1 to 256 rows on one thread, of the decoders in
# benchmarks/decoders.py but M4, plain and rewritten, on an AMD EPYC with AVX-512: the model differs
# from them by 4 % in the median and by 14 % at most. On M4, of 128 x 128 pixels, it is 20 % high.
_X86_64 = Costs(conv=0.0213, gemm=0.019, copy=0.013, scatter=0.84, node=1.3, lanes=16)
# Fitted to the same decoders on the same machine without the blocked layout (4 % in the median and
# 22 % at most; 51 % high on M4), and multiplied by 8, as a Cortex-A72 has about an eighth of its
# multiply-adds a second. The ratios between graphs decide; the times are a rough guess.
_AARCH64 = Costs(conv=0.275, gemm=0.162, copy=0.065, scatter=6.6, node=22.0, lanes=1)

X86_64 = Target("x86_64", frozenset(), {"x86_64": ()}, _X86_64)
AARCH64 = Target(
    "aarch64",
    # Without the blocked layout, `phases` copies pixels once for each phase in place of one
    # scatter, and `residual` is nothing but a copy.
    frozenset({"phases", "residual"}),
    # x86_64 without the layout runs im2col and products of matrices, as aarch64 does.
    {"aarch64": (), "x86_64": ("NchwcTransformer",)},
    _AARCH64,
)
# Providers other than the CPU's have kernels of their own for transposed convolutions and for few
# channels; only passes that save multiply-adds are worth a trial.
GENERIC_TARGET = Target(GENERIC, frozenset({"phases", "narrow", "residual"}), {}, _AARCH64)

TARGETS = {target.name: target for target in (X86_64, AARCH64, GENERIC_TARGET)}
DEFAULT = (ANY, X86_64.name, AARCH64.name)


def named(names: Collection[str]) -> Sequence[Target]:
    """Return the targets of these names, without "any", whose graph every bundle has.

    Raises `InputError` for a name that is not known.
    """
    for name in names:
        if name != ANY and name not in TARGETS:
            raise InputError(f"targets: expected some of {ANY}, {', '.join(TARGETS)}, got {name!r}")
    return [target for target in TARGETS.values() if target.name in names]

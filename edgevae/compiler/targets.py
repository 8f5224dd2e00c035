"""Targets: the processors and providers that graphs are rewritten for.

A rewrite that helps one engine can hurt another. onnxruntime's CPU provider computes convolutions
on x86_64 in a blocked layout, 8 or 16 channels at a time; its official builds for aarch64 have no
such layout there: a convolution copies the pixels that each output reads into a matrix (im2col)
and multiplies. So graphs are chosen by target: by racing them, on a machine that is one, and by the
cost model of `cost` otherwise.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from edgevae.bundle import ANY
from edgevae.engine import GENERIC, architecture
from edgevae.errors import InputError


class Costs(NamedTuple):
    """The costs that the cost model counts, on one thread.

    conv, gemm: nanoseconds of a multiply-add of a convolution, and of a product of matrices.
    copy: nanoseconds of a byte that is read and written.
    im2col: nanoseconds of a number that a convolution copies to the matrix that it multiplies; 0
        with a blocked layout, which needs no such matrix.
    scatter: nanoseconds of a product that a transposed convolution adds to its output (col2im).
    node: microseconds of an operator, whatever its size.
    lanes: the output channels that a convolution computes at once.
    """

    conv: float
    gemm: float
    copy: float
    im2col: float
    scatter: float
    node: float
    lanes: int


class Target(NamedTuple):
    """Processors or providers that a graph can be rewritten for.

    passes: the names of the passes that are tried.
    costs: the parameters of its cost model.
    """

    name: str
    passes: frozenset[str]
    costs: Costs

    @property
    def here(self) -> bool:
        """True if this machine runs graphs as the target does, so that races decide."""
        return self.name == architecture()


# Fitted to the times of one call, of 1 to 256 rows on one thread, of the decoders in
# benchmarks/decoders.py but M4, plain and rewritten, on an AMD EPYC with AVX-512: the model differs
# from them by 4 % in the median and by 14 % at most. On M4, of 128 x 128 pixels, it is 20 % high.
_X86_64 = Costs(conv=0.0213, gemm=0.019, copy=0.013, im2col=0, scatter=0.84, node=1.3, lanes=16)
# Fitted to the instructions that an emulated Cortex-A72 executes for those decoders with every set
# of passes and for 132 single operators (benchmarks/bench_arm.py), at 0.5 ns an instruction: the
# model differs from them by 9 % in the median. The ratios between graphs decide; the times are a
# rough guess, and `copy` is that of memory, as a copy executes few instructions.
_AARCH64 = Costs(conv=0.18, gemm=0.17, copy=0.065, im2col=2.3, scatter=2.8, node=21, lanes=1)
# Fitted to the times of one call, of 1 to 512 rows in float32, of decoders with and without
# `linear` on OpenVINO's CPU device, on an AMD EPYC with AVX-512: the model differs from them by
# 34 % in the median. It overstates the gains of `linear`, by 1.7 times in the median; but `linear`
# gained in each of 16 decoders, as the model says.
_GENERIC = Costs(conv=0.0123, gemm=0.0163, copy=0.012, im2col=0, scatter=0.39, node=13.2, lanes=1)

X86_64 = Target(
    "x86_64", frozenset({"linear", "phases", "upsample", "narrow", "residual"}), _X86_64
)
# Without the blocked layout, `phases` copies pixels once for each phase in place of one scatter,
# and `residual` is nothing but a copy.
AARCH64 = Target("aarch64", frozenset({"linear", "upsample", "narrow", "scatter"}), _AARCH64)
# Other providers have kernels of their own for transposed convolutions, for few channels and for
# upsampled images. On OpenVINO's CPU device `upsample` loses (0.7 to 0.8 times as fast on M4).
GENERIC_TARGET = Target(GENERIC, frozenset({"linear"}), _GENERIC)

TARGETS = {target.name: target for target in (X86_64, AARCH64, GENERIC_TARGET)}
DEFAULT = (ANY, *TARGETS)


def named(names: Collection[str]) -> Sequence[Target]:
    """Return the targets of these names, without "any", whose graph every bundle has.

    Raises `InputError` for a name that is not known.
    """
    for name in names:
        if name != ANY and name not in TARGETS:
            raise InputError(f"targets: expected some of {ANY}, {', '.join(TARGETS)}, got {name!r}")
    return [target for target in TARGETS.values() if target.name in names]

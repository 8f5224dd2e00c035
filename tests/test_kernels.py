"""Tests of the C kernels: equal bits from every kernel and compiler, on x86-64 and on aarch64.

The programs of tests/native and csrc are compiled with every compiler that is installed. Programs
for aarch64 run under qemu.
"""

import importlib.util
import platform
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CSRC = ROOT / "csrc"
NATIVE = Path(__file__).parent / "native"
DATA = Path(__file__).parent / "golden"
FLAGS = ["-O3", "-std=c11", "-Wall", "-Wextra", "-Werror", "-ffp-contract=off", f"-I{CSRC}"]
X86 = "sse2", "avx2", "avx512"


@dataclass(frozen=True)
class Toolchain:
    compiler: str
    objdump: str
    kernels: tuple[str, ...]
    compared: tuple[tuple[int, ...], ...]  # the arguments of each run of check_kernels
    runner: tuple[str, ...] = ()
    link: tuple[str, ...] = ()


# One compiler compares all sizes; the others compare small sizes and then a part of the large ones,
# whose step of a prime number meets every remainder of a block and of a vector.
TOOLCHAINS = {
    "gcc": Toolchain("gcc", "objdump", X86, ((4097, 16),)),
    "clang": Toolchain("clang", "objdump", X86, ((300, 16), (4097, 16, 7))),
    "aarch64": Toolchain(
        "aarch64-linux-gnu-gcc",
        "aarch64-linux-gnu-objdump",
        ("neon",),
        ((66, 4), (4097, 1, 31)),
        ("qemu-aarch64-static",),
        ("-static",),
    ),
}


class Build:
    """The objects of csrc, compiled once by one toolchain, and programs linked with them."""

    def __init__(self, tools: Toolchain, folder: Path) -> None:
        self.tools = tools
        self.folder = folder
        with ThreadPoolExecutor() as pool:
            self.objects = list(pool.map(self.compile, sorted(CSRC.glob("*.c"))))

    def compile(self, source: Path, *extra: str) -> Path:
        out = self.folder / f"{source.stem}{''.join(extra)}.o"
        command = [self.tools.compiler, *FLAGS, *extra, "-c", source, "-o", out]
        subprocess.run(list(map(str, command)), check=True)
        return out

    def run(self, program: str, *arguments: object) -> str:
        """Link and run tests/native/<program>.c, require exit code 0 and return its output."""
        out = self.folder / program
        objects = [self.compile(NATIVE / f"{program}.c"), *self.objects]
        link = [self.tools.compiler, *self.tools.link, *objects, "-lm", "-o", out]
        subprocess.run(list(map(str, link)), check=True)
        command = [*self.tools.runner, out, *arguments]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module", params=TOOLCHAINS)
def build(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Build:
    tools = TOOLCHAINS[request.param]
    if not tools.runner and platform.machine() != "x86_64":
        pytest.skip(f"{tools.compiler} does not build for x86-64 here")
    for tool in (tools.compiler, tools.objdump, *tools.runner):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    return Build(tools, tmp_path_factory.mktemp(request.param))


def test_every_kernel_gives_the_bits_of_the_scalar_one(build: Build) -> None:
    output = "".join(build.run("check_kernels", *sizes) for sizes in build.tools.compared)
    compared = set(re.findall(r"^compared (\w+)$", output, re.M))
    assert compared
    assert compared <= set(build.tools.kernels)


def test_known_answers(build: Build) -> None:
    files = DATA / "philox4x32_10.txt", DATA / "golden_normal.txt"
    assert build.run("check_golden", *files).endswith(" 0 failures\n")


def test_the_golden_file_matches_its_script() -> None:
    spec = importlib.util.spec_from_file_location("make_golden", DATA / "make_golden.py")
    make_golden = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make_golden)
    golden = (DATA / "golden_normal.txt").read_text().splitlines()
    assert list(make_golden.lines()) == golden


def test_errors_are_within_the_stated_bounds(build: Build) -> None:
    """Check a sample of all radii and angles; normal.h and scale.h state the errors over all."""
    stride = 4001 if build.tools.runner else 61
    errors = dict(line.split() for line in build.run("check_error", stride).splitlines())
    assert float(errors["normal"]) <= 1.08e-6
    assert float(errors["scale"]) <= 1.9e-7
    assert 6.55 < float(errors["largest"]) < 6.56


FUSED = re.compile(r"\t(v?fn?m(?:add|sub)\w*|vfmaddsub\w*|vfmsubadd\w*|fml[as]\w*|bfml\w*)")


def fused_operations(objdump: str, built: Path) -> set[str]:
    command = [objdump, "-d", "--no-show-raw-insn", str(built)]
    listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return set(FUSED.findall(listing))


def test_no_operation_is_fused(build: Build) -> None:
    for built in build.objects:
        assert fused_operations(build.tools.objdump, built) == set(), built.name


def test_a_fused_operation_is_detected(build: Build) -> None:
    source, *flags = ["kernels_neon.c"] if build.tools.runner else ["kernels_sse2.c", "-mfma"]
    built = build.compile(CSRC / source, *flags, "-ffp-contract=fast")
    assert fused_operations(build.tools.objdump, built)


def test_the_extension_has_no_fused_operation() -> None:
    core = importlib.util.find_spec("edgevae._core")
    if core is None or shutil.which("objdump") is None:
        pytest.skip("edgevae._core is not built, or objdump is not installed")
    assert fused_operations("objdump", Path(core.origin)) == set()

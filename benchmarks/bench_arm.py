"""Count the instructions that graphs execute on an emulated ARM core.

    tests/device/make_root FOLDER
    python benchmarks/bench_arm.py FOLDER --out benchmarks/results/arm-qemu.json    10 minutes
    python benchmarks/bench_arm.py FOLDER --model M2 --core a76

The graphs are those of `decoders.py`, compiled here for every target, and those of the shipped
bundles. Each is run by onnxruntime's aarch64 wheel, on one thread, under qemu's user mode; a plugin
counts the instructions between two marks around `session.run`, after two calls that allocate.

A count is not a time: it repeats exactly and shows what work a rewrite saves or adds, but neither
cache misses nor how many instructions a core completes in a cycle. `fmla` are the vector
multiply-adds among them, `dot` the dot products of 8-bit numbers. It needs the packages qemu-user
(qemu-user-static takes no plugin) and gcc, and `.[train]` for the decoders.
"""

import argparse
import json
import platform
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from edgevae import bundle

HERE = Path(__file__).parent
SHIPPED = "fashion", "names"
DECODERS = "M1", "M2", "M2+ReLU", "M3", "M3+ReLU", "M4"
TARGETS = "any", "x86_64", "aarch64"
MAX_NUMBERS = 1 << 16  # of x_hat in one call: M4's has one row
ROWS = 8

# getpriority(77, label) marks a place: the plugin prints the counts since the last mark.
GUEST = """
import os, sys
import numpy as np, onnxruntime

def mark(label):
    try:
        os.getpriority(77, label)
    except OSError:
        pass

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
for label, (path, rows) in enumerate(zip(sys.argv[1::2], map(int, sys.argv[2::2])), 1):
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    port = session.get_inputs()[0]
    x = np.random.default_rng(0).standard_normal((rows, *port.shape[1:]), np.float32)
    feeds = {port.name: x}
    session.run(None, feeds)
    session.run(None, feeds)
    mark(0)
    session.run(None, feeds)
    mark(label)
"""

Counts = dict[str, int]


class Case(NamedTuple):
    """A graph of a model, and the rows of one call."""

    model: str
    entry: bundle.GraphEntry
    path: Path
    rows: int


def cases(models: Sequence[str], folder: Path) -> Iterator[Case]:
    """Yield the graphs of the models; those that are compiled are kept in `folder`."""
    for name in models:
        path = bundle.find(name) if name in SHIPPED else compiled(name, folder)
        described = bundle.read(path)
        rows = max(1, min(ROWS, MAX_NUMBERS // int(np.prod(described.x_shape))))
        for entry in described.graphs:
            if entry.target in TARGETS and entry.role != "activations":
                yield Case(name, entry, path / entry.file, rows)


def compiled(name: str, folder: Path) -> Path:
    """Return the bundle of a decoder in float32 and int8, for every target."""
    if not (folder / name / "manifest.json").exists():
        import decoders

        source = folder / f"{name}.onnx"
        decoders.export(decoders.DECODERS[name](), source)
        # The weights are random: whether int8 is near enough to float32 does not matter here.
        options = ["--range", "0", "1", "--int8", "--force", "--out", folder / name]
        command = [sys.executable, "-m", "edgevae", "compile", "--decoder", source, *options]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder / name


def count(root: Path, core: str, graphs: Sequence[tuple[Path, int]]) -> list[Counts]:
    """Return what one call of each graph executes, by class of instruction."""
    with tempfile.TemporaryDirectory() as folder:
        plugin = Path(folder) / "count.so"
        source = HERE / "count_instructions.c"
        subprocess.run(["gcc", "-O2", "-shared", "-fPIC", "-o", plugin, source], check=True)
        command = ["qemu-aarch64", "-cpu", f"cortex-{core}", "-plugin", str(plugin)]
        command += ["-L", str(root / "cores" / core)]
        command += ["-E", f"PYTHONPATH={root / 'site'}"]
        command += [str(root / "root/usr/bin/python3.11"), "-c", GUEST]
        command += [str(word) for path, rows in graphs for word in (path, rows)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    counts: dict[int, Counts] = {}
    for line in done.stderr.splitlines():
        if line.startswith("COUNT "):
            _, label, *words = line.split()
            pairs = (word.split("=") for word in words)
            counts[int(label)] = {name: int(number) for name, number in pairs}
    if done.returncode or len(counts) != len(graphs) + 1:
        raise SystemExit(f"{' '.join(command[:6])}: ended with {done.returncode}\n{done.stderr}")
    return [counts[label] for label in range(1, len(graphs) + 1)]


def measure(root: Path, core: str, found: Sequence[Case]) -> list[dict[str, object]]:
    """Return a row for each case. Equal graphs are one file, which is counted once."""
    files = sorted({(case.path, case.rows) for case in found})
    counts = dict(zip(files, count(root, core, files), strict=True))
    return [
        {
            "core": core,
            "model": case.model,
            "role": case.entry.role,
            "precision": case.entry.precision,
            "target": case.entry.target,
            "rows": case.rows,
            "instructions": counts[case.path, case.rows],
        }
        for case in found
    ]


def table(rows: Sequence[dict[str, object]]) -> str:
    """Return the counts per row in millions, and the gain over the plain graph of float32."""
    graphs: dict[tuple[object, ...], dict[tuple[object, object], float]] = defaultdict(dict)
    for row in rows:
        key = row["core"], row["model"], row["role"]
        millions = row["instructions"]["all"] / row["rows"] / 1e6
        graphs[key][row["precision"], row["target"]] = millions
    lines = [
        "| core | graph | plain, millions a row | x86_64 | aarch64 | int8 plain | int8 aarch64 |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for (core, model, role), counts in graphs.items():
        plain = counts["float32", "any"]
        gains = []
        for precision, target in (
            ("float32", "x86_64"), ("float32", "aarch64"), ("int8", "any"), ("int8", "aarch64"),
        ):  # fmt: skip
            # A target without a graph of its own has the plain one.
            own = counts.get((precision, target), counts.get((precision, "any")))
            gains.append("-" if own is None else f"{plain / own:.2f}x")
        lines.append(f"| {core} | {model} {role} | {plain:.3g} | {' | '.join(gains)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path, help="a folder of tests/device/make_root")
    parser.add_argument("--core", action="append", choices=("a53", "a72", "a76"), help="(a72, a76)")
    models = DECODERS + SHIPPED
    parser.add_argument("--model", action="append", choices=models, help="(all)")
    parser.add_argument("--graphs", type=Path, help="keep the compiled graphs in this folder")
    parser.add_argument("--out", type=Path, help="write the counts as JSON")
    args = parser.parse_args()
    root = args.root.absolute()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (args.graphs or Path(temporary)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        found = list(cases(args.model or models, folder))
        rows = [row for core in args.core or ("a72", "a76") for row in measure(root, core, found)]
    print(table(rows))
    if args.out:
        versions = sorted(path.name for path in (root / "site").glob("onnxruntime-*.dist-info"))
        qemu = subprocess.run(["qemu-aarch64", "--version"], capture_output=True, text=True)
        report = {
            "onnxruntime": versions[0].split("-")[1].removesuffix(".dist"),
            "qemu": qemu.stdout.split()[2],
            "host": platform.machine(),
            "graphs": rows,
        }
        args.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()

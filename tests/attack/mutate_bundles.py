"""Use bundles with changed files and recomputed hashes, and count what comes of it.

Case i is a function of i alone. Its number is printed before it runs, so that a crash names it.
"""

import argparse
import collections
import hashlib
import io
import json
import math
import random
import shutil
import sys
import tempfile
import traceback
import warnings
from pathlib import Path

import numpy as np

import edgevae
from edgevae import bundle
from edgevae.diagnostics import verify
from edgevae.errors import EdgeVAEError

BUNDLES = Path(__file__).parents[1] / "bundle"
BASES = [
    BUNDLES / schema / name
    for schema, name in (
        ("schema2", "image"),
        ("schema2", "classes"),
        ("schema2", "text"),
        ("schema2", "signal"),
        ("schema2", "vector"),
        ("schema2", "targets"),
        ("schema1", "image"),
    )
]
_NUMBERS = (
    0,
    -1,
    1,
    2,
    0.5,
    -0.5,
    1e-300,
    1e300,
    10**18,
    2**63,
    2**64,
    10**400,
    math.inf,
    math.nan,
)
_VALUES = (*_NUMBERS, None, True, "", "x", "../x", "\ud800", "a" * 10_000, [], {}, [0], [[1]], [-1])


def deep(levels: int) -> object:
    value: object = 0
    for _ in range(levels):
        value = [value]
    return value


def places(value: object) -> list[tuple[object, object]]:
    """Return the containers and keys of everything in a JSON value."""
    keys = (
        value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    )
    found = []
    for key in keys:
        found.append((value, key))
        found += places(value[key])
    return found


def change_manifest(rng: random.Random, manifest: dict) -> None:
    """Replace, scale or delete one to three values of a manifest."""
    for _ in range(rng.randint(1, 3)):
        container, key = rng.choice(places(manifest))
        old = container[key]
        choice = rng.random()
        if choice < 0.15:
            del container[key]
        elif choice < 0.4 and isinstance(old, int | float):
            container[key] = old * rng.choice((-1, 0, 2, 10, 1000)) + rng.choice((-1, 0, 1, 0.5))
        elif choice < 0.45:
            container[key] = deep(rng.choice((10, 300)))
        else:
            container[key] = rng.choice(_VALUES)


def change_arrays(rng: random.Random, content: bytes) -> bytes:
    """Replace numbers, the type or the shape of an array; compress some archives."""
    arrays = dict(np.load(io.BytesIO(content)))
    key = rng.choice([*arrays])
    array = arrays[key]
    choice = rng.randrange(6)
    if choice == 0 and array.size:
        flat = array.copy().reshape(-1)
        with np.errstate(all="ignore"):
            numbers = np.array([0, -1, np.nan, np.inf, 1e30, -1e30, 3.4e38, 1e-40])
            flat[rng.randrange(flat.size)] = numbers[rng.randrange(8)].astype(array.dtype)
        arrays[key] = flat.reshape(array.shape)
    elif choice == 1:
        arrays[key] = array.astype(rng.choice(("f8", "f2", "i4", "u1", "U4", ">f4", "c8", "?")))
    elif choice == 2:
        arrays[key] = array.reshape(rng.choice(((-1,), (1, -1), (-1, 1), (*array.shape, 1))))
    elif choice == 3:
        arrays[key] = array[: rng.randrange(3)] if array.ndim else array
    elif choice == 4:
        del arrays[key]
    else:
        arrays[key] = np.array(rng.choice((0.0, np.nan, 1e300, 7)))
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rng.choice((np.savez, np.savez_compressed))(file, **arrays)
    return file.getvalue()


def change_bytes(rng: random.Random, content: bytes) -> bytes:
    """Flip, cut, repeat or insert bytes; half of the changes are in the first 512 bytes."""
    data = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        if not data:
            break
        at = rng.randrange(min(len(data), rng.choice((512, len(data)))))
        choice = rng.random()
        if choice < 0.6:
            data[at] ^= 1 << rng.randrange(8)
        elif choice < 0.75:
            data[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF))
        elif choice < 0.85:
            del data[at : at + rng.randint(1, 40)]
        elif choice < 0.95:
            data[at:at] = data[at : at + rng.randint(1, 40)]
        else:
            del data[at:]
    return bytes(data)


def change(rng: random.Random, folder: Path) -> str:
    """Change one file of a bundle and list it with its hash; return the file's name."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_bytes())
    name = rng.choice(["manifest.json", *manifest["files"]])
    if name == "manifest.json":
        if rng.random() < 0.2:
            path.write_bytes(change_bytes(rng, path.read_bytes()))
            return name
        change_manifest(rng, manifest)
    else:
        content = (folder / name).read_bytes()
        by_value = name.endswith(".npz") and rng.random() < 0.6
        content = (change_arrays if by_value else change_bytes)(rng, content)
        (folder / name).write_bytes(content)
        listed = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        manifest["files"][name] = listed
    path.write_text(json.dumps(manifest), "utf-8", "surrogatepass")
    return name


def use(folder: Path) -> None:
    """Call everything that reads a part of the bundle."""
    vae = edgevae.load(folder, "cpu", 1)
    vae.sample(2, seed=1)
    labels = [0, 0] if vae.bundle.classes else None
    x = vae.generate(2, seed=1, labels=labels)
    for check in (
        lambda: vae.encode(x),
        lambda: vae.reconstruct(x, labels=labels),
        lambda: vae.vary(x, 2, 2.0, seed=1, labels=labels),
        lambda: vae.denoise(x, 0.1, labels=labels),
        *(lambda method=method: vae.score(x, method) for method in ("default", "recon", "iwae")),
        lambda: vae.score(x, "recon", alpha=0.5),
        lambda: verify.verify(vae),
        lambda: bundle.extend(vae.bundle, folder.parent / "copy", fields={"note": 1}),
    ):
        try:
            scores = check()
        except EdgeVAEError:
            continue
        values = getattr(scores, "values", None)
        assert not isinstance(values, np.ndarray) or not np.isnan(values).any(), "NaN scores"


def outcome(case: int, folder: Path, bases: list[Path]) -> str:
    """Run a case and return its outcome: refused, used, or the exception that is not edgevae's."""
    rng = random.Random(case)
    for path in folder.parent.iterdir():
        shutil.rmtree(path)
    shutil.copytree(rng.choice(bases), folder)
    name = change(rng, folder)
    kind = name if name == "manifest.json" else Path(name).suffix
    try:
        use(folder)
    except EdgeVAEError:
        return f"{kind}: refused"
    except Exception as error:
        traceback.print_exc()
        return f"{kind}: {type(error).__name__}, case {case}"
    return f"{kind}: used"


def with_tables(folder: Path) -> Path:
    """Write a bundle with statistics and a calibration, and return its folder."""
    vae = edgevae.load(BASES[0], "cpu", 1)
    x = np.random.default_rng(0).random((60, *vae.bundle.x_shape), np.float32)
    x = np.clip(x, *vae.bundle.x_range)
    vae.calibrate(x, 0.1).save(folder)
    return folder


def limit_memory(size: int) -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    resource.setrlimit(resource.RLIMIT_AS, (size, size))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=300)
    args = parser.parse_args()
    limit_memory(8 << 30)
    warnings.simplefilter("ignore")
    counts: collections.Counter[str] = collections.Counter()
    with tempfile.TemporaryDirectory() as scratch:
        tables = with_tables(Path(scratch, "tables"))
        Path(scratch, "cases").mkdir()
        for case in range(args.first, args.first + args.count):
            print(f"case {case}", file=sys.stderr, flush=True)
            counts[outcome(case, Path(scratch, "cases", "b"), [*BASES, tables, tables])] += 1
    print(json.dumps(counts))


if __name__ == "__main__":
    main()

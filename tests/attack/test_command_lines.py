"""Command lines on bad files end with a documented exit code, and the message names the file."""

import csv
import io
import sys
from collections.abc import Iterable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import pytest
from attacks import CASES
from hostile_values import time_limit
from PIL import Image
from tiny import TINIES, Tiny

from edgevae import cli
from edgevae.data import Features, Text

CODES = {0, 2, 3, 4, 5, 6, 10, 130, 141}  # of docs/cli.md, without that of an unexpected error
NAMED = Features(("a", "b", "c"), (0.0,) * 3, (1.0,) * 3)
MODELS = {
    "grey": TINIES["grey"],
    "nameless": Tiny("vector", (3,), None, (2,)),
    "named": Tiny("vector", (3,), None, (2,)),
    "signal": Tiny("signal", (2, 4), None, (3,)),
    "text": Tiny("text", (4, 4), (0.0, 1.0), (2,)),
}
FURTHER = {"named": {"features": NAMED}, "text": {"text": Text("abc", 4)}}
PICTURES = ("png", "jpg", "gif", "webp", "bmp", "tiff")
SUFFIXES = ("csv", "jsonl", "ndjson", "parquet", "npy", "npz", "png", "jpg", "txt")

BYTES = {
    "empty": b"",
    "one NUL": b"\0",
    "NULs": b"\0" * 100,
    "newlines": b"\n\n\r\n",
    "binary": bytes(range(256)) * 4,
    "not UTF-8": b"a,b,c\n1,\xff,3\n",
    "UTF-16": "a,b,c\n1,2,3\n".encode("utf-16"),
    "BOM alone": b"\xef\xbb\xbf",
}
TABLES = {
    "BOM and CRLF": b"\xef\xbb\xbfa,b,c\r\n1,2,3\r\n",
    "CR": b"a,b,c\r1,2,3\r",
    "NUL in a cell": b"a,b,c\n1,2\x00,3\n",
    "huge field": b"a,b,c\n1,2," + b"9" * (csv.field_size_limit() + 10) + b"\n",
    "huge name": b"a,b," + b"c" * (csv.field_size_limit() + 10) + b"\n1,2,3\n",
    "open quote": b'a,b,c\n1,2,"3\n4,5,6\n' * 3,
    "columns twice": b"a,b,c,a\n1,2,3,4\n",
    "ids twice": b"a,b,c,id,id\n1,2,3,4,5\n",
    "ragged": b"a,b,c\n1,2,3\n1,2\n",
    "strings": b"a,b,c\n1,two,3\n",
    "broken first row": b"1,2x,3\n4,5,6\n",
    "huge numbers": b"a,b,c\n1e999,1,1\n",
    "large numbers": b"a,b,c\n3e38,3e38,3e38\n",
    "many digits": b"a,b,c\n" + b"1" * 5000 + b",1,1\n",
    "missing": b"a,b,c\n1,,3\n",
    "nan": b"a,b,c\nnan,nan,nan\n",
    "header alone": b"a,b,c\n",
    "commas": b",,\n,,\n",
    "step of nan": b"a,b,c,step\n1,2,3,nan\n",
    "step of text": b"a,b,c,step\n1,2,3,x\n",
    "surrogate": b"a,b,c,id\n1,2,3,\xed\xa0\x80\n",
    "hex": b"a,b,c\n0x10,1_000,\xd9\xa1\n",
}
LINES = {
    "open bracket": b"[1, 2",
    "brackets": b"[" * 100_000,
    "objects": b'{"x":' * 100_000,
    "number": b"1\n",
    "null": b"null\n",
    "string": b'"abc"\n',
    "nothing": b"{}\n",
    "x of null": b'{"x": null}\n',
    "x of objects": b'{"x": [{}, {}, {}]}\n',
    "x of strings": b'{"x": ["1", "2", "3"]}\n',
    "ragged": b"[1, [2], 3]\n",
    "many digits": b"[" + b"1" * 5000 + b", 1, 1]\n",
    "huge numbers": b"[1e999, 1, 1]\n",
    "10**400": b"[1" + b"0" * 400 + b", 1, 1]\n",
    "NaN": b"[NaN, Infinity, -Infinity]\n",
    "booleans": b"[true, false, true]\n",
    "surrogate id": b'{"x": [1, 2, 3], "id": "\\ud800"}\n',
    "id of lists": b'{"x": [1, 2, 3], "id": [[1]]}\n',
    "id of null": b'{"x": [1, 2, 3], "id": null}\n',
    "id of 10**400": b'{"x": [1, 2, 3], "id": 1' + b"0" * 400 + b"}\n",
    "ids of all kinds": b"".join(
        b'{"x": [1, 2, 3], "id": %s}\n' % i for i in (b"1", b'"a"', b"1.5")
    ),
    "keys twice": b'{"a": 1, "b": 2, "c": 3, "a": 4}\n',
    "columns change": b'{"a": 1, "b": 2, "c": 3}\n{"b": 1}\n',
    "mixed rows": b'[1, 2, 3]\n{"x": [1, 2, 3]}\n"x"\n',
}


def arrays() -> dict[str, bytes]:
    """Return bad .npy and .npz files by name."""

    def npy(array: np.ndarray) -> bytes:
        file = io.BytesIO()
        np.save(file, array, allow_pickle=array.dtype == object)
        return file.getvalue()

    good = npy(np.zeros((2, 3), np.float32))
    zipped = io.BytesIO()
    np.savez_compressed(zipped, x=np.zeros((2, 3), np.float32))
    archive = zipped.getvalue()
    steps = range(0, len(archive), max(1, 8 // CASES))
    return {
        "pickled.npy": npy(np.array([None, {}], object)),
        "scalar.npy": npy(np.array(1.0, np.float32)),
        "strings.npy": npy(np.array(["a", "b"])),
        "nan.npy": npy(np.full((2, 3), np.nan, np.float32)),
        "inf.npy": npy(np.full((2, 3), np.inf)),
        "none.npy": npy(np.zeros((0, 3), np.float32)),
        "axes.npy": npy(np.zeros((1,) * 20, np.float32)),
        "short.npy": good.replace(b"(2, 3)", b"(9, 9)"),
        "huge.npy": good.replace(b"(2, 3), }          ", b"(99999999999999,3)}"),
        "syntax.npy": good.replace(b"{'descr'", b"{{{{{{{{"),
        "code.npy": good.replace(b"'<f4'", b"exit("),
        **{f"cut{i}.npy": good[: len(good) * i // 6] for i in range(6)},
        **{f"cut{i}.npz": archive[: len(archive) * i // 6] for i in range(6)},
        **{f"changed{i}.npz": changed(archive, i) for i in steps},
    }


def changed(data: bytes, place: int) -> bytes:
    """Return data with one byte changed."""
    return data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :]


def pictures() -> dict[str, bytes]:
    """Return bad picture files by name."""
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8), np.uint8)
    contents = {}
    for suffix in PICTURES:
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, {"jpg": "jpeg"}.get(suffix, suffix))
        good = file.getvalue()
        contents |= {f"cut{i}.{suffix}": good[: len(good) * i // 6] for i in range(6)}
        for place in range(0, len(good), max(1, len(good) // (12 * CASES))):
            contents[f"changed{place}.{suffix}"] = changed(good, place)
    return contents


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Iterator[Path]:
    """A current folder of models and of bad files."""
    folder = tmp_path_factory.mktemp("command-lines")
    for name, tiny in MODELS.items():
        (folder / "models").mkdir(exist_ok=True)
        tiny.write(folder / "models" / name, **FURTHER.get(name, {}))
    (folder / "bad").mkdir()
    contents = {
        **{f"{name}.{suffix}": data for name, data in BYTES.items() for suffix in SUFFIXES},
        **{f"{name}.csv": data for name, data in TABLES.items()},
        **{f"{name}.jsonl": data for name, data in LINES.items()},
        **arrays(),
        **pictures(),
    }
    for name, data in contents.items():
        (folder / "bad" / name).write_bytes(data)
    for suffix in SUFFIXES:
        (folder / "bad" / f"folder.{suffix}").mkdir()
    (folder / "bad" / "link.csv").symlink_to("nowhere")
    (folder / "bad" / "loop.png").symlink_to("loop.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


def run(arguments: list[str], stdin: bytes = b"") -> tuple[int, str]:
    """Run a command line in this process; return its exit code and its standard error."""
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
    before, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO(stdin))
    try:
        with redirect_stdout(out), redirect_stderr(err), time_limit(" ".join(arguments)):
            code = cli.main(arguments)
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        sys.stdin = before
    return code, err.getvalue()


def attack(arguments: list[str], names: str, stdin: bytes = b"") -> str:
    """Run a command line; return a description of a wrong end, nothing if all is well."""
    shown = " ".join(arguments)[:200]
    try:
        code, err = run(arguments, stdin)
    except Exception as error:
        return f"{shown}: {type(error).__name__}: {error!s:.120}"
    if code not in CODES:
        return f"{shown}: exit code {code}: {err[-120:]}"
    if "Traceback" in err:
        return f"{shown}: a traceback"
    if code in (3, 4) and names not in err:
        return f"{shown}: {names} is not named in {err[-120:]!r}"
    return ""


def check(attacks: Iterable[str]) -> None:
    """Run all attacks, and fail with those that end otherwise than they should."""
    failed = [problem for problem in attacks if problem]
    assert not failed, f"{len(failed)} cases:\n" + "\n".join(failed)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.filterwarnings("ignore")
def test_bad_files(folder, model):
    options = ["--model", f"models/{model}", "--provider", "cpu", "--threads", "1"]
    verbs = {
        "score": ["--method", "recon"],
        "encode": ["--out", "out.npz"],
        "reconstruct": ["--out", "out.txt" if model == "text" else "out.npy"],
    }
    names = sorted(path.name for path in Path("bad").iterdir())
    if model == "text":  # of which other names are strings
        names = [name for name in names if name.endswith((".txt", ".npy", ".npz"))]
    if model != "grey":
        names = [name for name in names if not name.endswith(PICTURES)]
    check(
        attack([verb, f"bad/{name}", *further, *options], f"bad/{name}")
        for i, name in enumerate(names)
        for j, (verb, further) in enumerate(verbs.items())
        if CASES > 1 or (i + j) % 3 == 0
    )


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.filterwarnings("ignore")
def test_bad_standard_input(folder, model):
    options = ["--model", f"models/{model}", "--provider", "cpu", "--threads", "1"]
    check(
        attack([*verb, "-", *options], "standard input", data)
        for verb in (["score", "--method", "recon"], ["encode", "--out", "o.npz"])
        for data in {**BYTES, **TABLES, **LINES, **arrays()}.values()
    )


@pytest.mark.filterwarnings("ignore")
def test_bad_files_of_other_verbs(folder):
    check(
        problem
        for path in sorted(Path("bad").iterdir())
        if path.suffix in (".npy", ".npz", ".csv", ".parquet")
        for problem in (
            attack(["decode", str(path), "--model", "models/named", "--out", "o.npy"], str(path)),
            attack(["calibrate", "models/named", "--data", str(path), "--out", "cal"], ""),
        )
    )


OUTPUTS = [
    *("", "/", "a\0b.npy", "\ud800.npy", "x" * 300 + ".npy", "bad/folder.npy", "missing/x.npy"),
    *("/dev/full", "/proc/x.npy", "bad/empty.csv/x.npy", "..", "con.xyz"),
]


@pytest.mark.parametrize("out", OUTPUTS)
def test_bad_outputs(folder, out, tmp_path):
    options = ["--model", "models/grey", "--provider", "cpu", "--out", out]
    check([attack(["generate", "2", "--seed", "1", *options], "")])


REFUSED = ["nan", "-nan", "inf", "-inf", "1e400", "x", "0x", "", "9" * 5000]
OPTIONS = {
    "generate": ["--temperature", "--seed", "--start", "--scale", "--threads"],
    "interpolate": ["--steps", "--seed", "--start", "--scale"],
    "vary": ["-n", "--strength", "--seed", "--start"],
    "traverse": ["--dim", "--most", "--steps", "--span"],
    "score": ["--alpha", "--threshold", "--draws", "--method", "--precision", "--provider"],
    "calibrate": ["--alpha", "--draws"],
    "compile": ["--sigma", "--noise", "--range", "--size", "--scaling-factor"],
    "bench": ["--seconds", "--rounds", "--batch", "--percentile", "--concurrency"],
    "tune": ["--seconds", "--min-psnr"],
}


@pytest.mark.parametrize("verb", OPTIONS)
def test_no_option_takes_a_value_that_is_no_number(folder, verb):
    np.save("item.npy", np.zeros((1, 1, 8, 8), np.float32))
    inputs = {
        "vary": ["item.npy", "--model", "models/grey"],
        "traverse": ["item.npy", "--model", "models/grey"],
        "score": ["item.npy", "--model", "models/grey"],
        "calibrate": ["models/grey", "--data", "item.npy", "--out", "cal"],
    }
    taken = [
        f"{option}={value}"
        for option in OPTIONS[verb]
        for value in REFUSED
        if not 2 <= run([verb, *inputs.get(verb, []), f"{option}={value}"])[0] <= 5
    ]
    assert not taken

"""A second reader of bundles, written from docs/bundle-format.md alone, agrees with edgevae.

It uses plain Python and NumPy, and nothing of edgevae but what it is compared with.
"""

import hashlib
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgevae
from edgevae import bundle, sampling

PAGE = Path(__file__).parents[1] / "docs" / "bundle-format.md"
SAMPLES = [Path(__file__).parent / "bundle" / schema for schema in ("schema1", "schema2")]
BUNDLES = [
    *map(bundle.find, bundle.names()),
    *sorted(path for folder in SAMPLES for path in folder.iterdir() if path.is_dir()),
]
SELFCHECK = {"encoder": {"x", "mu", "logvar"}, "decoder": {"z", "x_hat"}, "activations": {"x", "h"}}
HINTS = ("row_bytes", "chunk_rows")
WORD = 2**32 - 1
F32 = np.float32


def constants(text: str) -> list[np.float32]:
    return [F32(float.fromhex(word)) for word in text.split()]


LOGARITHM = constants("-0x1.a5e85ep-1 -0x1.5546dcp+0 -0x1p+2")
COSINE = constants("-0x1.4eaad2p-6 0x1.03b196p-2 -0x1.3bd3a4p+0 0x1p+0")
SINE = constants("-0x1.2a7638p-8 0x1.46496cp-4 -0x1.4abb68p-1 0x1.921fb4p+0")
EXPONENTIAL = constants(
    "0x1.0fa31ap-12 0x1.573a1cp-9 0x1.555a7ap-6 0x1.fffdc6p-4 0x1.fffff6p-2 0x1p+0"
)
(LN_EXPONENT,) = constants("-0x1.62e43p-23")
EXP_INVERSE, EXP_HIGH, EXP_LOW = constants("0x1.715476p-1 0x1.62e4p+0 0x1.7f7d1cp-19")


def read(folder: Path) -> tuple[dict[str, Any], dict[str, dict[str, np.ndarray]]]:
    """The manifest of a bundle, and the arrays of its .npz files by file."""
    manifest = json.loads((folder / "manifest.json").read_bytes())
    assert manifest["schema"] in (1, 2)
    assert manifest["stream"] == 1
    for name, entry in manifest["files"].items():
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name)
        content = (folder / name).read_bytes()
        assert len(content) == entry["bytes"]
        assert hashlib.sha256(content).hexdigest() == entry["sha256"]
    if manifest["schema"] == 1:
        manifest["graphs"] = from_schema_1(manifest)
    arrays = {
        name: dict(np.load(folder / name, allow_pickle=False))
        for name in manifest["files"]
        if name.endswith(".npz")
    }
    return manifest, arrays


def from_schema_1(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """The list `graphs` that the fields of schema 1 stand for."""
    return [
        {
            "role": role,
            "target": "any",
            "precision": "float32" if variant == "fp32" else variant,
            "file": file,
            **{key: manifest[key][role] for key in HINTS if role in manifest.get(key, {})},
        }
        for variant, files in manifest["variants"].items()
        for role, file in files.items()
    ]


def graph(manifest: dict[str, Any], role: str, precision: str, target: str) -> str:
    """The file of the graph that computes a role."""
    files = {
        (each["role"], each["precision"], each["target"]): each["file"]
        for each in manifest["graphs"]
    }
    order = [(role, at, to) for at in (precision, "float32") for to in (target, "any")]
    return next(files[key] for key in order if key in files)


def philox(seed: int, block: int, index: int, purpose: int) -> list[int]:
    k0, k1 = seed & WORD, seed >> 32
    c0, c1, c2, c3 = block, index & WORD, index >> 32, purpose
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (p1 >> 32) ^ c1 ^ k0, p1 & WORD, (p0 >> 32) ^ c3 ^ k1, p0 & WORD
        k0, k1 = (k0 + 0x9E3779B9) & WORD, (k1 + 0xBB67AE85) & WORD
    return [c0, c1, c2, c3]


def bits(value: np.float32) -> int:
    return int(value.view(np.uint32))


def from_bits(word: int) -> np.float32:
    return np.uint32(word & WORD).view(F32)


def convert(word: int) -> np.float32:
    return F32(np.uint32(word & WORD).view(np.int32))


def polynomial(coefficients: list[np.float32], x: np.float32) -> np.float32:
    value = coefficients[0]
    for coefficient in coefficients[1:]:
        value = value * x + coefficient
    return value


def pair(a: int, b: int) -> tuple[np.float32, np.float32]:
    u, one = convert((a & 0x7FFFFFFF) | 1), F32(2.0**31)
    e = (bits(u) - 0x4EB504F3) & 0xFF800000
    m = from_bits(bits(u) - e)
    t = (m - one) / (m + one)
    p = polynomial(LOGARITHM, t * t)
    r = np.sqrt(convert(e) * LN_EXPONENT + t * p)
    q = from_bits((b >> 9) | 0x3F800000) - F32(1.5)
    c, s = polynomial(COSINE, q * q), polynomial(SINE, q * q) * q
    c = -c if b & 1 else c
    c, s = (s, c) if b & 2 else (c, s)
    return r * c, r * s


def normals(seed: int, index: int, dims: int, purpose: int = 0) -> list[np.float32]:
    values: list[np.float32] = []
    for block in range(-(-dims // 4)):
        w0, w1, w2, w3 = philox(seed, block, index, purpose)
        (first, third), (second, fourth) = pair(w0, w2), pair(w1, w3)
        values += [first, second, third, fourth]
    return values[:dims]


def scale(logvar: np.float32) -> np.float32:
    x, rounding = F32(min(max(logvar, F32(-30)), F32(20))), F32(12583039)
    v = x * EXP_INVERSE + rounding
    n = v - rounding
    f = (x - n * EXP_HIGH) - n * EXP_LOW
    return polynomial(EXPONENTIAL, f) * from_bits(bits(v) << 23)


def alias_table(weights: list[float]) -> tuple[list[int], list[int]]:
    count, total = len(weights), math.fsum(weights)
    height = [weight / total * count for weight in weights]
    threshold, alias = [WORD] * count, list(range(count))
    low = [j for j in range(count - 1, -1, -1) if height[j] < 1]
    high = [j for j in range(count - 1, -1, -1) if height[j] >= 1]
    while low and high:
        j, d = low.pop(), high[-1]
        threshold[j], alias[j] = math.floor(height[j] * 2**32), d
        height[d] -= 1 - height[j]
        if height[d] < 1:
            low.append(high.pop())
    return threshold, alias


def latent(
    manifest: dict[str, Any], arrays: dict[str, dict[str, np.ndarray]], seed: int, index: int
) -> np.ndarray:
    eps = normals(seed, index, math.prod(manifest["latent_shape"]))
    if manifest["prior"]["kind"] == "normal":
        return np.array(eps)
    prior = arrays["prior.npz"]
    if manifest["prior"].get("by_class"):
        label, labels = index % len(manifest["classes"]), len(manifest["classes"])
        prior = {name: np.split(array, labels)[label] for name, array in prior.items()}
    threshold, alias = alias_table(prior["weights"].tolist())
    w0, w1, _, _ = philox(seed, 0, index, 2)
    j = w0 * len(threshold) >> 32
    k = j if w1 < threshold[j] else alias[j]
    scales = [scale(logvar) for logvar in prior["logvars"][k]]
    return np.array(
        [
            mean + std * value
            for mean, std, value in zip(prior["means"][k], scales, eps, strict=True)
        ]
    )


every_bundle = pytest.mark.parametrize("path", BUNDLES, ids=lambda path: path.name)


@every_bundle
def test_the_reader_of_the_page_reads_every_bundle(path: Path) -> None:
    manifest, arrays = read(path)
    found = bundle.read(path)
    assert tuple(manifest["x"]["shape"]) == found.x_shape
    assert tuple(manifest["latent_shape"]) == found.latent_shape
    assert manifest["prior"]["kind"] == found.prior
    roles = {each["role"] for each in manifest["graphs"]}
    check = arrays["selfcheck.npz"]
    own = {key for key in check if key.endswith(".int8")}
    keys = set().union(*(SELFCHECK[role] for role in roles))
    assert set(check) - own == keys | ({"y"} if manifest.get("classes") else set())
    quantised = {each["role"] for each in manifest["graphs"] if each["precision"] == "int8"}
    outputs = set().union(*(SELFCHECK[role] for role in quantised)) - {"x", "z"}
    assert own in (set(), {f"{output}.int8" for output in outputs})
    for key in own:
        assert check[key].shape == check[key.removesuffix(".int8")].shape
    if "statistics.npz" in arrays:
        assert arrays["statistics.npz"]["mu_mean"].shape == (found.dims,)


@every_bundle
def test_the_reader_of_the_page_takes_the_same_graphs(path: Path) -> None:
    manifest, _ = read(path)
    found = bundle.read(path)
    for role in found.roles:
        for precision in ("float32", "int8", "bf16"):
            for target in ("any", "generic", "x86_64", "aarch64"):
                expected = found.graph(role, precision, (target,))
                assert graph(manifest, role, precision, target) == expected.file


@every_bundle
def test_the_reader_of_the_page_draws_the_same_latents(path: Path) -> None:
    manifest, arrays = read(path)
    vae = edgevae.load(path)
    for seed, start in ((7, 0), (2**64 - 1, 2**32 - 2)):
        if manifest["prior"]["kind"] == "none":
            with pytest.raises(edgevae.InputError):
                vae.sample(4, seed=seed)
            continue
        expected = vae.sample(4, seed=seed, start=start).reshape(4, -1)
        got = np.stack([latent(manifest, arrays, seed, start + i) for i in range(4)])
        assert got.dtype == np.float32
        assert got.tobytes() == expected.tobytes()


def test_the_known_answers_of_the_page() -> None:
    rows = dict(
        re.findall(r"^\| (.+?) \| `([0-9a-f ]+)` \|$", PAGE.read_text("utf-8"), re.MULTILINE)
    )
    answers = {what: [int(word, 16) for word in words.split()] for what, words in rows.items()}
    checked = 0
    for what, words in answers.items():
        if what.startswith("normals"):
            seed, index, purpose = map(int, re.findall(r"(?:seed|index|purpose) (\d+)", what))
            got = normals(seed, index, 4, purpose)
            ours = sampling.normal(1, 4, seed=seed, start=index, purpose=purpose)
            assert [bits(value) for value in got] == ours.view(np.uint32)[0].tolist()
        elif what.startswith("`scale`"):
            got = [scale(F32(value)) for value in (0, -1, 1, -30, 20, -40)]
        else:
            name, seed, index = re.findall(r"`(\w+)`, seed (\d+), index (\d+)", what)[0]
            got = latent(*read(bundle.find(name)), int(seed), int(index))[:4]
        assert [bits(value) for value in got] == words, what
        checked += 1
    assert checked == 8

"""A bundle: the folder that a device needs to run one VAE. Its only reader and writer.

    manifest.json      what the files are, and the sha256 of each
    encoder.onnx       x -> mu, logvar; absent: the bundle only decodes
    decoder.onnx       z -> x_hat
    activations.onnx   x -> h, the encoder's hidden activations, for the score `nap`; may be absent
    decoder.int8.onnx  the same graphs in other arithmetic, by variant
    prior.npz          weights (K,), means (K, D), logvars (K, D); absent: the standard normal,
                       or none, where the model is an autoencoder
    selfcheck.npz      x, mu, logvar, z, x_hat: inputs, and what PyTorch made of them; h where there
                       are activations; y, the class numbers, where the decoder is conditional
    statistics.npz     of the training items, for scores; calibration.npz, the scores of normal
                       items that were held out: `edgevae.scoring` knows them; may be absent

Reading writes nothing and fetches nothing. A field that this version does not know is ignored; a
change that an older reader must not ignore takes a new schema number.
"""

import hashlib
import json
import math
import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from edgevae import atomic as durable
from edgevae import npz
from edgevae.data import Features, Kind, Likelihood, Text, kind_from_json
from edgevae.errors import BundleError
from edgevae.json_fields import Fields, is_number, parse
from edgevae.sampling import MixtureTable

SCHEMA = 1
STREAM = 1
LIKELIHOODS = ("gaussian", "bernoulli", "categorical")
MODELS = ("vae", "autoencoder")
PRIORS = ("mixture", "normal", "none")
_SELFCHECK = {  # what goes into a graph, and what comes out
    "encoder": ("x", "mu", "logvar"),
    "decoder": ("z", "x_hat"),
    "activations": ("x", "h"),
}
_PRIOR = ("weights", "means", "logvars")

_MANIFEST = "manifest.json"
_ZOO = Path(__file__).parents[1] / "zoo"
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_ROLES = ("encoder", "decoder", "activations")
_WANTING = {
    "encoder": "it only decodes; make one with an encoder, by `edgevae compile --encoder`",
    "activations": "the score `nap` needs them; `python -m train export` writes them",
}
_MARGIN = 2

Floats = npt.NDArray[np.float32]


class Mixture(Protocol):
    """K diagonal Gaussians over D latent dimensions, such as a `MixtureTable`."""

    @property
    def weights(self) -> Floats: ...
    @property
    def means(self) -> Floats: ...
    @property
    def logvars(self) -> Floats: ...


class Tiles(NamedTuple):
    """What a decoder's tiles are like, measured when its bundle was made.

    `scale` pixels stand for a latent cell. `receptive` cells from the edge of a tile, and farther,
    its pixels are those of the whole. Neighbours share `overlap` cells where nobody asks for
    others; `difference` from the whole is what that was seen to cost at most, in units of x.
    """

    scale: int
    receptive: int
    overlap: int
    difference: float


class File(NamedTuple):
    """What the manifest says of one file."""

    sha256: str
    bytes: int


@dataclass(frozen=True)
class Bundle:
    """A bundle that was read and whose files are those that were written.

    Shapes are without the batch axis; a signal's is (C, L), C features over a window of L steps.
    `x_range` is None for vectors and signals without bounds. `likelihood`
    has a `name`, and for "gaussian" a `sigma` in x's units: one number, or one for each value of
    x. `noise` is the largest noise sigma the encoder was trained under, for vectors in standard
    deviations of each value over the training data (0: it does not denoise), `tolerance` the
    largest difference from PyTorch's outputs that a provider may show. `features` tells of
    vectors and signals what training knew of each feature, where it said so, and `stride` by how
    many steps the windows of a signal were apart. `text` tells what strings one of kind "text"
    knows; it is None for any other. `classes` names the numbers that a conditional decoder takes
    as its second input y, int64 (n,); other decoders have none. `tiles` is None where the decoder
    cannot be run on tiles of a larger latent. With `by_class` the mixture prior has as many
    components for each class, those of the first class first.

    `model` is "vae", or "autoencoder" where each item has one latent and no posterior: its logvar
    is -30. `prior` is what latents are drawn from: a "mixture" of so many `components`, the
    standard "normal", or "none", as an autoencoder without a mixture has no density to draw from.

    `variants` has the ONNX files of each by role, "encoder", "decoder" and "activations". "fp32"
    has a decoder; where it has no encoder the bundle only decodes, and where it has activations
    the score `nap` can be had. Another variant may lack a role. `calibration` says what the scores
    in calibration.npz are worth, as `edgevae.scoring` writes it; it is empty without. `quality`
    says what a variant costs against fp32, on inputs that it was not made from: `decoder_psnr`
    and `encoder_psnr`, in dB between the 8-bit pixels that it and fp32 decode, or reconstruct by
    its encoder; `decoder_max_difference` and `encoder_max_difference`, of any number of x_hat,
    and of mu and logvar; `decoder_check_difference` and `encoder_check_difference`, the same on
    the inputs of the self-check.
    """

    path: Path
    name: str
    data: Kind
    latent_shape: tuple[int, ...]
    stream: int
    opset: int
    likelihood: Likelihood
    noise: float
    model: str
    prior: str
    components: int
    variants: Mapping[str, Mapping[str, str]]
    quality: Mapping[str, Mapping[str, float]]
    chunk_rows: Mapping[str, int]
    row_bytes: Mapping[str, int]
    tolerance: float
    licence: str
    provenance: Mapping[str, str | float]
    files: Mapping[str, File]
    calibration: Mapping[str, str | float]
    classes: tuple[str, ...] = ()
    tiles: Tiles | None = None
    by_class: bool = False

    @property
    def kind(self) -> str:
        return self.data.name

    @property
    def x_shape(self) -> tuple[int, ...]:
        return self.data.x_shape

    @property
    def x_range(self) -> tuple[float, float] | None:
        return self.data.x_range

    @property
    def features(self) -> Features | None:
        return self.data.features

    @property
    def stride(self) -> int | None:
        return self.data.stride

    @property
    def text(self) -> Text | None:
        return self.data if isinstance(self.data, Text) else None

    @property
    def dims(self) -> int:
        """Numbers in one latent."""
        return math.prod(self.latent_shape)

    @property
    def roles(self) -> tuple[str, ...]:
        """What there are graphs for: "decoder", and "encoder" and "activations" where they are."""
        return tuple(role for role in _ROLES if role in self.variants["fp32"])

    @property
    def encodes(self) -> bool:
        """Whether there is an encoder."""
        return "encoder" in self.variants["fp32"]

    def graph(self, role: str, variant: str = "fp32") -> Path:
        """The ONNX file of a role: that of fp32 where the variant has none.

        Raises `BundleError` for a role that the bundle has no graph for.
        """
        if variant not in self.variants:
            has = ", ".join(sorted(self.variants))
            raise BundleError(f"{self.path}: no variant {variant!r}; the bundle has {has}")
        files = {**self.variants["fp32"], **self.variants[variant]}
        if role not in files:
            raise BundleError(f"{self.path}: no {role}: {how_to_have(role)}")
        return self.path / files[role]

    def allowed_difference(self, role: str, variant: str = "fp32") -> float:
        """The largest difference from PyTorch's outputs that a role's may show.

        For a variant whose quality is known that is the tolerance and twice the difference that
        it showed when it was made: less than that may be another processor's rounding.
        """
        seen = self.quality.get(variant, {}).get(f"{role}_check_difference", 0.0)
        return self.tolerance + _MARGIN * seen

    def mixture(self) -> MixtureTable | None:
        """The mixture prior; None where the prior is the standard normal, or none."""
        if not self.components:
            return None
        arrays = npz.load_typed(self.path / "prior.npz", _PRIOR)
        shape = (self.components, self.dims)
        for key, expected in (("weights", shape[:1]), ("means", shape), ("logvars", shape)):
            npz.check_shape(self.path / "prior.npz", key, arrays[key], expected)
        weights = arrays["weights"]
        if weights.min() < 0 or not math.isclose(weights.sum(), 1.0, abs_tol=1e-3):
            raise BundleError(
                f"{self.path / 'prior.npz'}: weights must be at least 0 and sum to 1, got a "
                f"least of {weights.min():g} and a sum of {weights.sum():g}; export it again"
            )
        return MixtureTable(**arrays)

    def mixtures(self) -> list[MixtureTable]:
        """The mixture that each class's latents are drawn from; none where one serves all."""
        table = self.mixture() if self.by_class else None
        if table is None:
            return []
        parts = table.weights, table.means, table.logvars
        blocks = zip(*(np.split(part, len(self.classes)) for part in parts), strict=True)
        return [MixtureTable(*block) for block in blocks]

    def selfcheck(self) -> dict[str, npt.NDArray[Any]]:
        """Inputs and PyTorch's outputs: x, mu, logvar of one count; z, x_hat of another.

        A bundle that only decodes has only the latter; one with activations has h (N, H) too, as
        many as x, and one with classes y, as many as z.
        """
        arrays = npz.load_typed(
            self.path / "selfcheck.npz", _selfcheck_keys(self.roles, self.classes)
        )
        shapes = {"x": self.x_shape, "x_hat": self.x_shape, "y": ()}
        if "h" in arrays:
            shapes["h"] = arrays["h"].shape[-1:]
        for key, array in arrays.items():
            rows = len(arrays["z" if key in (*_SELFCHECK["decoder"], "y") else "x"])
            expected = (rows, *shapes.get(key, self.latent_shape))
            npz.check_shape(self.path / "selfcheck.npz", key, array, expected)
        return arrays

    def arrays(self, name: str) -> dict[str, npt.NDArray[Any]] | None:
        """What is in one of its .npz files, by name; None where the bundle has no such file.

        Raises `BundleError` for numbers that are not finite, or not numbers.
        """
        return npz.load(self.path / name) if name in self.files else None


def _selfcheck_keys(roles: Iterable[str], classes: Sequence[str]) -> list[str]:
    keys = dict.fromkeys(key for role in roles for key in _SELFCHECK[role])
    return [*keys, "y"] if classes else [*keys]


def how_to_have(role: str) -> str:
    """What to do where a bundle lacks a graph of this role."""
    return _WANTING.get(role, "the roles are encoder, decoder and activations")


def names() -> list[str]:
    """The bundles shipped with edgevae, by name."""
    return sorted(found.parent.name for found in _ZOO.glob(f"*/{_MANIFEST}"))


def find(name_or_path: str | os.PathLike[str]) -> Path:
    """The folder of a bundle, by the name of a shipped one or by its path.

    A `str` that names a shipped bundle is that bundle; write "./fashion", or give a `Path`, for a
    folder of the same name. Raises `BundleError` where there is no such folder.
    """
    shipped = isinstance(name_or_path, str) and _FILE_NAME.fullmatch(name_or_path)
    if shipped and (_ZOO / name_or_path / _MANIFEST).is_file():
        return _ZOO / name_or_path
    path = Path(name_or_path)
    if not path.is_dir():
        raise BundleError(
            f"expected the path of a bundle or the name of a shipped one "
            f"({', '.join(names()) or 'none is installed'}), got {os.fspath(name_or_path)!r}, "
            f"which is no folder; check the spelling"
        )
    return path


def read(path: str | os.PathLike[str]) -> Bundle:
    """Reads a manifest and checks the size and sha256 of every file it names.

    Raises `BundleError` where anything is missing, truncated, altered or not understood.
    """
    folder = Path(path).absolute()
    manifest = Fields(parse(folder / _MANIFEST), str(folder / _MANIFEST))
    _refuse_other_versions(manifest)
    bundle = _interpret(folder, manifest)
    for name, file in bundle.files.items():
        _check_file(folder / name, file)
    return bundle


def write(
    path: str | os.PathLike[str],
    *,
    name: str,
    data: Kind,
    latent_shape: tuple[int, ...],
    opset: int,
    encoder: bytes | None,
    decoder: bytes,
    prior: Mixture | None,
    selfcheck: Mapping[str, npt.ArrayLike],
    likelihood: Likelihood,
    noise: float,
    licence: str,
    provenance: Mapping[str, str | float],
    model: str = "vae",
    tolerance: float = 1e-4,
    variants: Mapping[str, Mapping[str, bytes]] = MappingProxyType({}),
    quality: Mapping[str, Mapping[str, float]] = MappingProxyType({}),
    chunk_rows: Mapping[str, int] = MappingProxyType({}),
    row_bytes: Mapping[str, int] = MappingProxyType({}),
    activations: bytes | None = None,
    classes: Sequence[str] = (),
    tiles: Tiles | None = None,
    by_class: bool = False,
) -> Bundle:
    """Writes a bundle, whole or not at all, and returns it as read back.

    `path` may be a new folder, an empty one, or a bundle, which is replaced. Arguments are as in
    `Bundle`; `encoder`, `decoder` and `activations` (x -> h, float32 (N, H)) are ONNX files, and
    so are the values of `variants`, by variant (beside fp32) and role; `selfcheck` has the arrays
    that `Bundle.selfcheck` returns.
    Raises `BundleError` where the reader would refuse the result, or
    where `path` holds anything that is not part of a bundle; nothing is changed then.
    """
    given = {"encoder": encoder, "decoder": decoder, "activations": activations}
    graphs = {role: graph for role, graph in given.items() if graph is not None}
    names = {
        variant: {role: _graph_name(role, variant) for role in roles}
        for variant, roles in {"fp32": graphs, **variants}.items()
    }
    keys = [key for key in _selfcheck_keys(graphs, classes) if key in selfcheck]
    files = {names["fp32"][role]: graph for role, graph in graphs.items()}
    for variant, roles in variants.items():
        files |= {names[variant][role]: graph for role, graph in roles.items()}
    files["selfcheck.npz"] = npz.dump_typed({key: selfcheck[key] for key in keys})
    if prior is not None:
        files["prior.npz"] = npz.dump_typed({key: getattr(prior, key) for key in _PRIOR})
    described = data.as_json()
    manifest = {
        "schema": SCHEMA,
        "name": name,
        "kind": described.pop("kind"),
        "x": described.pop("x"),
        "latent_shape": list(latent_shape),
        "stream": STREAM,
        "opset": opset,
        "likelihood": dict(likelihood),
        "noise": noise,
        **({} if model == "vae" else {"model": model}),
        "prior": {**_prior_fields(model, prior), **({"by_class": True} if by_class else {})},
        "variants": names,
        **(
            {"quality": {variant: dict(figures) for variant, figures in quality.items()}}
            if quality
            else {}
        ),
        **({"chunk_rows": dict(chunk_rows)} if chunk_rows else {}),
        **({"row_bytes": dict(row_bytes)} if row_bytes else {}),
        **described,
        **({"classes": list(classes)} if classes else {}),
        **({"tiles": tiles._asdict()} if tiles else {}),
        "tolerance": tolerance,
        "licence": licence,
        "provenance": dict(provenance),
    }
    return _publish(path, manifest, files)


def extend(
    bundle: Bundle,
    path: str | os.PathLike[str],
    *,
    arrays: Mapping[str, Mapping[str, npt.ArrayLike]] = MappingProxyType({}),
    fields: Mapping[str, object] = MappingProxyType({}),
) -> Bundle:
    """Writes a copy of a bundle with more .npz files, or others, and more fields in its manifest.

    `arrays` is by file and name, such as {"statistics.npz": {"mu_mean": ...}}; numbers keep the
    type they have. `fields` are written as JSON. `path` is as in `write`, or the bundle's own.
    Raises `BundleError` as `write` does; nothing is changed then.
    """
    manifest: dict[str, object] = json.loads((bundle.path / _MANIFEST).read_bytes())
    manifest = {**manifest, **fields}
    files = {name: (bundle.path / name).read_bytes() for name in bundle.files}
    files |= {name: npz.dump(each) for name, each in arrays.items()}
    return _publish(path, manifest, files)


def _publish(
    path: str | os.PathLike[str], manifest: Mapping[str, object], files: Mapping[str, bytes]
) -> Bundle:
    """Writes a bundle of these files, whole or not at all, and returns it as read back."""
    manifest = {
        **{key: value for key, value in manifest.items() if key != "files"},
        "files": {
            key: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
            for key, data in files.items()
        },
    }
    try:
        content = json.dumps(manifest, indent=2, allow_nan=False) + "\n"
    except (TypeError, ValueError) as error:
        raise BundleError(f"the manifest takes strings and finite numbers only: {error}") from error

    target = Path(path).resolve()
    _check_replaceable(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    # Beside the target, since a rename is atomic within one file system only.
    draft = target.parent / f".{target.name}.{os.urandom(4).hex()}.draft"
    draft.mkdir()
    try:
        for key, data in {**files, _MANIFEST: content.encode()}.items():
            durable.write(draft / key, data)
        durable.sync(draft)
        written = read(draft)
        written.mixture()
        written.selfcheck()
        durable.replace(target, draft)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return read(target)


def _prior_fields(model: str, prior: Mixture | None) -> dict[str, str | int]:
    if prior is not None:
        return {"kind": "mixture", "components": len(prior.weights)}
    return {"kind": "none" if model == "autoencoder" else "normal"}


def _graph_name(role: str, variant: str) -> str:
    return f"{role}.onnx" if variant == "fp32" else f"{role}.{variant}.onnx"


# --- the manifest ----------------------------------------------------------------------------


def _refuse_other_versions(manifest: Fields) -> None:
    """First of all, since the other fields may mean something else."""
    for key, known in (("schema", SCHEMA), ("stream", STREAM)):
        if (got := manifest.integer(key)) != known:
            fix = "upgrade edgevae" if got > known else "export the bundle again"
            raise manifest.bad(key, f"{known}, the one this version reads; {fix}")


def _interpret(folder: Path, manifest: Fields) -> Bundle:
    files = {}
    for name, entry in manifest.fields("files").each():
        if not _FILE_NAME.fullmatch(name) or name == _MANIFEST:
            raise manifest.bad("files", f"named by plain file names, not {name!r}")
        sha256 = entry.text("sha256")
        if not _SHA256.fullmatch(sha256):
            raise entry.bad("sha256", "64 hexadecimal digits")
        files[name] = File(sha256, entry.integer("bytes"))

    def listed(name: str, needed_by: str) -> str:
        if name not in files:
            raise manifest.bad("files", f"an object that lists {name!r}, which {needed_by} needs")
        return name

    prior = manifest.fields("prior")
    components = 0
    if prior.text("kind", PRIORS) == "mixture":
        listed("prior.npz", "a mixture prior")
        if (components := prior.integer("components")) < 1:
            raise prior.bad("components", "at least 1")

    variants = {
        key: {
            role: listed(entry.text(role), f"variant {key}")
            for role in _ROLES
            if role in entry or (role, key) == ("decoder", "fp32")
        }
        for key, entry in manifest.fields("variants").each()
    }
    if "fp32" not in variants:
        raise manifest.bad("variants", "an object that holds 'fp32'")
    for key, roles in variants.items():
        if not set(roles) <= set(variants["fp32"]):
            more = min(set(roles) - set(variants["fp32"]))
            raise manifest.bad("variants", f"without {more} in {key!r}, as 'fp32' has none")
    listed("selfcheck.npz", "`edgevae verify`")
    if "calibration" in manifest:
        listed("calibration.npz", "a calibration")

    data = kind_from_json(manifest)
    bundle = Bundle(
        path=folder,
        name=manifest.text("name"),
        data=data,
        latent_shape=manifest.shape("latent_shape"),
        stream=manifest.integer("stream"),
        opset=manifest.integer("opset"),
        likelihood=_likelihood(manifest.fields("likelihood"), data.x_shape),
        noise=manifest.number("noise"),
        model=manifest.text("model", MODELS) if "model" in manifest else "vae",
        prior=prior.text("kind"),
        components=components,
        variants=variants,
        quality=_quality(manifest, variants),
        chunk_rows=_counts(manifest, "chunk_rows"),
        row_bytes=_counts(manifest, "row_bytes"),
        tolerance=manifest.number("tolerance"),
        licence=manifest.text("licence"),
        provenance=manifest.scalars("provenance"),
        files=files,
        calibration=manifest.scalars("calibration") if "calibration" in manifest else {},
        classes=_classes(manifest),
        tiles=_tiles(manifest.fields("tiles")) if "tiles" in manifest else None,
        by_class="by_class" in prior and prior.take("by_class") is True,
    )
    if bundle.by_class and (not bundle.classes or bundle.components % len(bundle.classes)):
        raise prior.bad("components", "as many for each of the classes")
    return bundle


def _classes(manifest: Fields) -> tuple[str, ...]:
    """The names of classes, where there are any."""
    names = manifest.take("classes") if "classes" in manifest else []
    texts = [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
    if texts != names or "" in texts or len({name.casefold() for name in texts}) != len(texts):
        raise manifest.bad("classes", "a list of names that differ, whatever their case")
    return tuple(texts)


def _tiles(fields: Fields) -> Tiles:
    scale, receptive, overlap = map(fields.integer, ("scale", "receptive", "overlap"))
    tiles = Tiles(scale, receptive, overlap, fields.number("difference"))
    if tiles.scale < 1:
        raise fields.bad("scale", "at least 1")
    return tiles


def _quality(
    manifest: Fields, variants: Mapping[str, Mapping[str, str]]
) -> dict[str, dict[str, float]]:
    if "quality" not in manifest:
        return {}
    quality = {}
    for key, entry in manifest.fields("quality").each():
        if key not in variants:
            raise manifest.bad("quality", f"of variants that there are, not of {key!r}")
        quality[key] = {figure: entry.number(figure) for figure in entry}
    return quality


def _counts(manifest: Fields, key: str) -> dict[str, int]:
    """Whole numbers of at least 1 by role, where there are any."""
    if key not in manifest:
        return {}
    fields = manifest.fields(key)
    counts = {role: fields.integer(role) for role in _ROLES if role in fields}
    for role, count in counts.items():
        if count < 1:
            raise fields.bad(role, "at least 1")
    return counts


def _likelihood(fields: Fields, x_shape: tuple[int, ...]) -> dict[str, str | float | list[float]]:
    """That of an x of this shape; a sigma for each feature of a signal becomes one a value."""
    name = fields.text("name", LIKELIHOODS)
    if name in ("bernoulli", "categorical"):
        return {"name": name}
    sigma = fields.take("sigma")
    numbers = sigma if isinstance(sigma, list) else [sigma]
    values = [float(number) for number in numbers if is_number(number) and number > 0]
    if len(values) != len(numbers):
        raise fields.bad("sigma", "positive and finite")
    if not isinstance(sigma, list):
        return {"name": name, "sigma": values[0]}
    size = math.prod(x_shape)
    if len(values) not in (size, x_shape[0]):
        raise fields.bad("sigma", f"one number, or {size}, one for each value of x")
    return {"name": name, "sigma": np.repeat(values, size // len(values)).tolist()}


# --- files -----------------------------------------------------------------------------------


def _check_file(path: Path, expected: File) -> None:
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size != expected.bytes:
                raise BundleError(
                    f"{path}: expected {expected.bytes} bytes, got {size}; copy the bundle again"
                )
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}; copy the bundle again") from error
    if sha256 != expected.sha256:
        raise BundleError(
            f"{path}: expected sha256 {expected.sha256[:12]}..., got {sha256[:12]}...: the file "
            f"was altered after it was written; copy the bundle again"
        )


def _check_replaceable(target: Path) -> None:
    """Whatever is replaced is deleted, so it must be a bundle and nothing else."""
    if not target.exists():
        return
    if not target.is_dir():
        raise BundleError(f"{target}: expected a folder or nothing, got a file; name another path")
    strangers = {entry.name for entry in target.iterdir()}
    if not strangers:
        return
    files = Fields(parse(target / _MANIFEST), str(target / _MANIFEST)).fields("files")
    strangers -= {_MANIFEST} | {name for name, _ in files.each()}
    if strangers:
        raise BundleError(
            f"{target}: refused to replace a folder that holds more than a bundle "
            f"({', '.join(sorted(strangers)[:3])}); name another path"
        )

"""The description of a bundle, and its form in manifest.json.

Each part of the description writes and reads its own fields. A field that this version does not
know is ignored; a change that an older reader must not ignore takes a new schema number.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from edgevae.bundle import graph_entry, schema1
from edgevae.bundle.graph_entry import FLOAT32, ROLES, GraphEntry
from edgevae.data import Features, Kind, Likelihood, Range, Text, kind_from_json, likelihood
from edgevae.errors import BundleError
from edgevae.json_fields import Fields
from edgevae.sampling import STREAM

SCHEMA: Final = 2
MODELS = ("vae", "autoencoder")
PRIORS = ("mixture", "normal", "none")

MANIFEST = "manifest.json"
PRIOR_FILE = "prior.npz"
SELFCHECK_FILE = "selfcheck.npz"
CALIBRATION_FILE = "calibration.npz"

# Of one file: protobuf, and so onnxruntime, parses no more.
MOST_BYTES = (1 << 31) - 1

_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
# The factor of a precision's measured difference from PyTorch that is allowed on another machine,
# whose processor may round differently.
_MARGIN = 2


class Tiles(NamedTuple):
    """The properties of a decoder's tiles, measured when its bundle was compiled.

    scale: pixels for each latent cell.
    receptive: the distance from the edge of a tile, in cells, from which on its pixels equal those
        of the whole image.
    overlap: cells that neighbouring tiles share by default.
    difference: the largest difference from the whole image that was measured with `overlap`, in
        x's units.
    """

    scale: int
    receptive: int
    overlap: int
    difference: float

    def as_json(self) -> dict[str, Any]:
        return self._asdict()

    @classmethod
    def from_json(cls, fields: Fields) -> "Tiles":
        receptive, overlap = map(fields.integer, ("receptive", "overlap"))
        return cls(fields.count("scale"), receptive, overlap, fields.number("difference"))


class File(NamedTuple):
    """The SHA-256 and the size of one file, in bytes."""

    sha256: str
    bytes: int

    def as_json(self) -> dict[str, Any]:
        return self._asdict()

    @classmethod
    def from_json(cls, fields: Fields) -> "File":
        sha256 = fields.text("sha256")
        if not _SHA256.fullmatch(sha256):
            raise fields.bad("sha256", "64 hexadecimal digits")
        size = fields.integer("bytes")
        if size > MOST_BYTES:
            raise fields.bad("bytes", f"at most {MOST_BYTES}")
        return cls(sha256, size)


@dataclass(frozen=True, kw_only=True)
class Description:
    """The facts about a model that its graphs do not contain.

    `edgevae.compiler.compile` takes one, and infers the fields that are None.

    name: the name of the bundle.
    data: the data, or the name of their kind.
    model: "vae", or "autoencoder" if each item has one latent and no posterior; its encoder's
        logvar is then `sampling.MIN_LOGVAR`.
    likelihood: p(x|z): a `name`, and for "gaussian" a `sigma` in x's units, one number, or one for
        each feature or value of x.
    noise: the largest noise sigma that the encoder was trained with, for vectors in standard
        deviations of each value over the training data; 0 if it does not denoise.
    classes: the names of the class numbers that a conditional decoder takes as its second input y,
        int64 (n,); empty for other decoders.
    by_class: True if each class has a mixture of its own: the components of the prior are divided
        into blocks of equal size, in the order of the classes.
    tolerance: the largest difference from PyTorch's outputs that a provider may show.
    licence: the licence of the weights.
    provenance: strings and numbers that say where the model came from.
    """

    name: str | None = None
    data: Kind | str | None = None
    model: str = "vae"
    likelihood: Likelihood | None = None
    noise: float = 0.0
    classes: tuple[str, ...] = ()
    by_class: bool = False
    tolerance: float | None = None
    licence: str = "not stated"
    provenance: Mapping[str, str | float] | None = None


@dataclass(frozen=True, kw_only=True)
class Manifest(Description):
    """The complete description of a bundle. Shapes are without the batch axis.

    latent_shape: the shape of one latent z.
    opset: the highest ONNX opset of the graphs.
    stream: the version of the random stream that latents are drawn from.
    prior: the distribution of latents: a "mixture" of `components`, the standard "normal", or
        "none" for an autoencoder without a mixture, which cannot generate.
    graphs: the entries of the ONNX files. Without an encoder the bundle only decodes, and the score
        `nap` needs activations. Each role has a float32 graph of target "any".
    quality: the difference of a precision from float32, on inputs that it was not calibrated on:
        `decoder_psnr` and `encoder_psnr`, in dB between the 8-bit pixels that it and float32
        decode, or reconstruct by its encoder; `decoder_max_difference` and
        `encoder_max_difference`, of any number of x_hat, and of mu and logvar;
        `decoder_check_difference` and `encoder_check_difference`, the same on the inputs of the
        self-check.
    tiles: the properties of the decoder's tiles; None if it cannot run on tiles of a larger latent.
    calibration: the conditions under which the scores in calibration.npz were computed.
    files: the other files of the bundle, by name.
    """

    name: str = field()
    data: Kind = field()
    likelihood: Likelihood = field()
    tolerance: float = 1e-4
    provenance: Mapping[str, str | float] = field(default_factory=dict)
    latent_shape: tuple[int, ...]
    opset: int
    stream: int = STREAM
    prior: str = "normal"
    components: int = 0
    graphs: tuple[GraphEntry, ...] = ()
    quality: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    tiles: Tiles | None = None
    calibration: Mapping[str, str | float] = field(default_factory=dict)
    files: Mapping[str, File] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """The name of the data's kind: "image", "vector", "signal" or "text"."""
        return self.data.name

    @property
    def x_shape(self) -> tuple[int, ...]:
        return self.data.x_shape

    @property
    def x_range(self) -> Range | None:
        return self.data.x_range

    @property
    def features(self) -> Features | None:
        return self.data.features

    @property
    def stride(self) -> int | None:
        return self.data.stride

    @property
    def text(self) -> Text | None:
        """The data if they are strings, None if they are of another kind."""
        return self.data if isinstance(self.data, Text) else None

    @property
    def dims(self) -> int:
        """The number of dimensions of one latent."""
        return math.prod(self.latent_shape)

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles that the bundle has graphs for, of "encoder", "decoder", "activations"."""
        present = {entry.role for entry in self.graphs}
        return tuple(role for role in ROLES if role in present)

    @property
    def precisions(self) -> tuple[str, ...]:
        """The precisions that the bundle has graphs in: "float32", and "int8" if it has such."""
        return tuple(dict.fromkeys(entry.precision for entry in self.graphs))

    @property
    def encodes(self) -> bool:
        """True if the bundle has an encoder."""
        return "encoder" in self.roles

    def graph(
        self, role: str, precision: str = FLOAT32, targets: tuple[str, ...] = ()
    ) -> GraphEntry:
        """Return the entry of the first of `targets` that the role has at a precision.

        "any" is tried last. A role without a graph in the precision has its float32 graph. Raises
        `BundleError` for a role that the bundle has no graph for.
        """
        try:
            return graph_entry.find(self.graphs, role, precision, targets)
        except BundleError as error:
            raise BundleError(f"bundle {self.name!r} has {error}") from None

    def allowed_difference(self, role: str, precision: str = FLOAT32) -> float:
        """Return the largest difference from PyTorch's outputs that the role may show.

        It is the tolerance. For int8 graphs of an earlier version, whose own outputs the self-check
        does not hold, twice the difference that was measured when they were written is added.
        """
        measured = self.quality.get(precision, {}).get(f"{role}_check_difference", 0.0)
        return self.tolerance + _MARGIN * measured

    def as_json(self) -> dict[str, Any]:
        """Return the fields of manifest.json, in the order in which they are written."""
        data = self.data.as_json()
        fields: dict[str, Any] = {
            "schema": SCHEMA,
            "name": self.name,
            "kind": data.pop("kind"),
            "x": data.pop("x"),
            "latent_shape": list(self.latent_shape),
            "stream": self.stream,
            "opset": self.opset,
            "likelihood": dict(self.likelihood),
            "noise": self.noise,
            "model": self.model,
            "prior": _prior_as_json(self),
            "graphs": [entry.as_json() for entry in self.graphs],
            "quality": {precision: dict(each) for precision, each in self.quality.items()},
            **data,
            "classes": list(self.classes),
            "tiles": self.tiles and self.tiles.as_json(),
            "tolerance": self.tolerance,
            "licence": self.licence,
            "provenance": dict(self.provenance),
            "calibration": dict(self.calibration),
            "files": {name: file.as_json() for name, file in self.files.items()},
        }
        optional = ("quality", "classes", "tiles", "calibration")
        omitted = {key for key in optional if not fields[key]}
        if self.model == "vae":
            omitted.add("model")
        return {key: value for key, value in fields.items() if key not in omitted}

    @staticmethod
    def from_json(fields: Fields) -> "Manifest":
        """Return the description in the fields of manifest.json, of schema 1 or 2.

        Raises `BundleError`.
        """
        _refuse_other_versions(fields)
        fields = schema1.upgrade(fields)
        files = _files_from_json(fields)
        prior = _prior_from_json(fields, files)
        graphs = graph_entry.entries_from_json(fields, files)
        _require_file(fields, files, SELFCHECK_FILE, "`edgevae verify`")
        if "calibration" in fields:
            _require_file(fields, files, CALIBRATION_FILE, "a calibration")
        name, data = fields.text("name"), kind_from_json(fields)
        manifest = Manifest(
            name=name,
            data=data,
            latent_shape=fields.shape("latent_shape"),
            stream=fields.integer("stream"),
            opset=fields.integer("opset"),
            likelihood=likelihood.likelihood_from_json(fields.fields("likelihood"), data.x_shape),
            noise=fields.number("noise"),
            model=fields.text("model", MODELS) if "model" in fields else "vae",
            graphs=graphs,
            quality=_quality_from_json(fields, graphs),
            classes=_classes_from_json(fields),
            tiles=Tiles.from_json(fields.fields("tiles")) if "tiles" in fields else None,
            tolerance=fields.number("tolerance"),
            licence=fields.text("licence"),
            provenance=fields.scalars("provenance"),
            calibration=fields.scalars("calibration") if "calibration" in fields else {},
            files=files,
            **prior,
        )
        if manifest.by_class and (
            not manifest.classes or manifest.components % len(manifest.classes)
        ):
            raise fields.fields("prior").bad("components", "a multiple of the number of classes")
        return manifest


# --- the parts of a manifest -----------------------------------------------------------------


def _refuse_other_versions(fields: Fields) -> None:
    """Raise `BundleError` for a schema or a stream whose fields may mean something else."""
    for key, known in (("schema", (schema1.SCHEMA1, SCHEMA)), ("stream", (STREAM,))):
        if (number := fields.integer(key)) not in known:
            fix = "upgrade edgevae" if number > max(known) else "export the bundle again"
            readable = " or ".join(map(str, known))
            raise fields.bad(key, f"{readable}, which this version reads; {fix}")


def _prior_as_json(manifest: Manifest) -> dict[str, Any]:
    components = {"components": manifest.components} if manifest.prior == "mixture" else {}
    by_class = {"by_class": True} if manifest.by_class else {}
    return {"kind": manifest.prior, **components, **by_class}


def _prior_from_json(fields: Fields, files: Mapping[str, File]) -> dict[str, Any]:
    """Return the arguments `prior`, `components` and `by_class` of a manifest."""
    prior = fields.fields("prior")
    kind, components = prior.text("kind", PRIORS), 0
    if kind == "mixture":
        _require_file(fields, files, PRIOR_FILE, "a mixture prior")
        components = prior.count("components")
    by_class = "by_class" in prior and prior.take("by_class") is True
    return {"prior": kind, "components": components, "by_class": by_class}


def _files_from_json(fields: Fields) -> dict[str, File]:
    files = {}
    for name, entry in fields.fields("files").each():
        if not is_file_name(name) or name == MANIFEST:
            raise fields.bad("files", f"named by plain file names, not {name!r}")
        files[name] = File.from_json(entry)
    return files


def _require_file(fields: Fields, files: Mapping[str, File], name: str, needed_by: str) -> None:
    """Raise `BundleError` if `files` lacks a name."""
    if name not in files:
        raise fields.bad("files", f"an object that lists {name!r}, which {needed_by} needs")


def _quality_from_json(
    fields: Fields, graphs: tuple[GraphEntry, ...]
) -> dict[str, dict[str, float]]:
    if "quality" not in fields:
        return {}
    precisions = {entry.precision for entry in graphs}
    quality = {}
    for precision, entry in fields.fields("quality").each():
        if precision not in precisions:
            raise fields.bad("quality", f"of the graphs' precisions, not of {precision!r}")
        quality[precision] = {figure: entry.number(figure) for figure in entry}
    return quality


def _classes_from_json(fields: Fields) -> tuple[str, ...]:
    names = fields.take("classes") if "classes" in fields else []
    texts = [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
    if texts != names or "" in texts or len({name.casefold() for name in texts}) != len(texts):
        raise fields.bad("classes", "a list of names that differ, whatever their case")
    return tuple(texts)


def is_file_name(name: str) -> bool:
    """Return True if a bundle may have a file, or a shipped bundle a folder, of this name."""
    return _FILE_NAME.fullmatch(name) is not None

"""Read a folder that optimum's ONNX exporter wrote of a diffusers VAE.

    vae_decoder/model.onnx    latent_sample -> sample
    vae_encoder/model.onnx    sample -> latent_parameters, mu and logvar in one tensor of 2 C
                              channels; or latent_sample, drawn in the graph, or the output of an
                              autoencoder without noise; may be absent
    config.json               of diffusers, in either folder, in vae/ or at the top

The graphs take any height and width; a bundle has one size. Their latents have the model's own
scale; a bundle's are scaled as the config says (see `latent_scale`). Pixels are in [-1, 1] by the
convention of diffusers, whose decoders end without an activation.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import onnx
import onnx_ir as ir

from edgevae.compiler.reading import (
    fix_size,
    infer,
    latent_scale,
    ports,
    source_graph,
    unsample,
)
from edgevae.compiler.reading.latent_scale import LatentScale
from edgevae.compiler.reading.ports import Note
from edgevae.errors import InputError, show

_CONFIGS = ("vae_decoder", "vae_encoder", "vae", ".")
_FIELDS = {*latent_scale.FIELDS, "_class_name", "latent_channels", "sample_size", "force_upcast"}
_HALVES = {ir.DataType.FLOAT16, ir.DataType.BFLOAT16}
_POINTS = ("AutoencoderTiny", "AutoencoderDC")  # their encoders have no posterior
_RANGE = (-1.0, 1.0)


Source = bytes | str | os.PathLike[str]
Shape = tuple[int, ...]
Size = tuple[int, ...]


class Sources(NamedTuple):
    """The arguments of `compile` that a folder holds: paths or bytes of graphs, and their facts.

    `model` is as in `Bundle`; `notes` say what was assumed.
    """

    decoder: Source
    encoder: Source | None = None
    x_range: tuple[float, float] | None = None
    model: str = "vae"
    provenance: dict[str, str | float] | None = None
    notes: Sequence[str] = ()


def read(
    folder: str | os.PathLike[str],
    *,
    size: Sequence[int] = (),
    scaling_factor: float | None = None,
) -> Sources:
    """Read a folder with a decoder and perhaps an encoder, and fix their size and latent scale.

    `size` is the height and width of the images in pixels, or one number for both; it defaults to
    the config's sample_size. `scaling_factor` overrides the config's.

    Raises `InputError` if there is no decoder, if the latent's scale or the size is
    unknown, or if the graphs are of float16, in which such models overflow.
    """
    root = Path(folder)
    paths = {role: root / f"vae_{role}" / "model.onnx" for role in ("decoder", "encoder")}
    if not paths["decoder"].is_file():
        alone = ", and an encoder alone makes no bundle" if paths["encoder"].is_file() else ""
        raise InputError(
            f"{root}: expected vae_decoder/model.onnx, as `optimum-cli export onnx` writes it, got "
            f"no such file{alone}; pass --decoder and --encoder for graphs that lie elsewhere"
        )
    notes: list[str] = []
    note = notes.append
    config = _config(root)
    scale = latent_scale.read(config, str(root), scaling_factor)
    decoder = _open(paths["decoder"], note)
    z_shape, x_shape = _fix_decoder(decoder, str(paths["decoder"]), config, tuple(size), note)
    scale = scale.for_channels(z_shape[0], str(root))
    x_range = infer.bounds(decoder.graph.outputs[0]) or _RANGE
    note(f"range: {x_range[0]:g} to {x_range[1]:g}, unless --range says another")
    latent_scale.map_input(decoder, scale.own)
    encoder, model = None, "autoencoder" if config.get("_class_name") in _POINTS else "vae"
    if paths["encoder"].is_file():
        where, encoder = str(paths["encoder"]), _open(paths["encoder"], note)
        model = _fix_encoder(encoder, where, z_shape, x_shape, scale, note)
    if model == "vae":
        note(
            "prior: the standard normal, unless --prior is given; a VAE made for latent diffusion "
            "hardly fills it, and generates well from a mixture fitted to what it encodes"
        )
    if config.get("force_upcast"):
        note("force_upcast: the model overflows in float16; all is computed in float32")
    return Sources(
        decoder=_data(decoder),
        encoder=None if encoder is None else _data(encoder),
        x_range=x_range,
        model=model,
        provenance=_provenance(config, scaling_factor, decoder),
        notes=notes,
    )


def _config(root: Path) -> dict[str, Any]:
    """Return the fields that matter of all configs, which must not contradict each other."""
    fields: dict[str, tuple[Any, Path]] = {}
    for path in (root / name / "config.json" for name in _CONFIGS):
        if not path.is_file():
            continue
        for key, value in _parse(path).items():
            if key not in _FIELDS or value is None:
                continue
            first, where = fields.setdefault(key, (value, path))
            if first != value:
                raise InputError(
                    f"{path}: expected {key} {show(first)} as in {where}, got {show(value)}; "
                    f"remove the config that is not of this model"
                )
    return {key: value for key, (value, _) in fields.items()}


def _parse(path: Path) -> Mapping[str, Any]:
    try:
        config = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: expected JSON, got {error}; export the model again") from error
    if not isinstance(config, dict):
        raise InputError(f"{path}: expected an object, got {show(config)}; export the model again")
    return config


def _open(path: Path, note: Note) -> ir.Model:
    model = source_graph.open_graph(path, str(path), note)
    for value in (*model.graph.initializers.values(), *model.graph.inputs):
        if value.dtype in _HALVES:
            raise InputError(
                f"{path}: expected float32, got {value.name} of {value.dtype.name.lower()}, in "
                f"which such models overflow to black images; export with --dtype fp32"
            )
    return model


def _fix_decoder(
    model: ir.Model, where: str, config: Mapping[str, Any], size: Size, note: Note
) -> tuple[Shape, Shape]:
    """Fix the shape of z; return it and that of x_hat, both without the batch."""
    z, *class_inputs = ports.find_inputs(model, "decoder", where)
    ports.check_classes(class_inputs, 0, where)
    channels = fix_size.dims(z, where)[0] or config.get("latent_channels")
    if not isinstance(channels, int):
        raise InputError(
            f"{where}: expected latent_channels in config.json, since {z.name} may have any number "
            f"of channels, got none; add it"
        )
    pixels = size or config.get("sample_size")
    z_shape = fix_size.fix_decoder(model, z, channels, pixels, where, note)
    x_shape = fix_size.output_shape(model, where, z_shape)
    fix_size.check(size, x_shape, where)
    return z_shape, x_shape


def _fix_encoder(
    model: ir.Model, where: str, z_shape: Shape, x_shape: Shape, scale: LatentScale, note: Note
) -> str:
    """Fix the shape of x and scale the outputs; return the bundle's `model`."""
    (x,) = ports.find_inputs(model, "encoder", where)
    free = zip(fix_size.dims(x, where), x_shape, strict=True)
    fix_size.fix(model, x, tuple(size or of_x_hat for size, of_x_hat in free))
    outputs = ports.choose(model, "encoder", where, (), note)
    if len(outputs) == 1:
        outputs = unsample.unsample(outputs[0], where, note) or outputs
    model.graph.outputs[:] = outputs
    channels = fix_size.output_shape(model, where, x_shape)[0]
    model_kind, maps = "vae", [scale.mu, scale.logvar]
    if len(outputs) == 1 and channels == 2 * z_shape[0]:
        maps = [scale.parameters]
    elif len(outputs) == 1:
        model_kind, maps = "autoencoder", [scale.mu]
        note(f"{where}: {outputs[0].name} is one latent an item, so this is an autoencoder")
    rank = 1 + len(z_shape)
    pairs = zip(outputs, maps, strict=True)
    model.graph.outputs[:] = [
        latent_scale.map_output(model, value, each, rank) for value, each in pairs
    ]
    fix_size.forget(model)
    return model_kind


def _provenance(
    config: Mapping[str, Any], scaling_factor: float | None, decoder: ir.Model
) -> dict[str, str | float]:
    """Return the folder's facts as the manifest takes them: text and numbers."""
    override = {} if scaling_factor is None else {"scaling_factor": scaling_factor}
    facts = {**config, **override, "exported_by": decoder.producer_name, "onnx": onnx.__version__}
    return {
        key.strip("_"): value if type(value) in (str, int, float) else json.dumps(value)
        for key, value in facts.items()
        if value is not None
    }


def _data(model: ir.Model) -> bytes:
    data: bytes = ir.to_proto(model).SerializeToString()
    return data

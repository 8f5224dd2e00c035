"""A folder laid out as optimum's ONNX exporter writes a VAE of diffusers, made ready to compile.

    vae_decoder/model.onnx    latent_sample -> sample
    vae_encoder/model.onnx    sample -> latent_parameters, mu and logvar in one tensor of 2 C
                              channels; or latent_sample, which was drawn in the graph, or which
                              an autoencoder without noise gives; may be absent
    config.json               of diffusers, in either folder, in vae/ or at the top

Its height and width are free, a bundle has one size. Its decoder takes latents of the model's own
scale, a bundle's takes the scaled ones that its users know (see `latent_scale`). Pixels are
in [-1, 1] by the convention of diffusers, whose decoders end without an activation.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnx_ir as ir

from edgevae.compiler.graphs import parity, shapes
from edgevae.compiler.reading import infer as guess
from edgevae.compiler.reading import latent_scale as latent
from edgevae.compiler.reading import normalise as front
from edgevae.compiler.reading import ports
from edgevae.compiler.reading import unsample as noise
from edgevae.compiler.reading.latent_scale import Latent
from edgevae.compiler.reading.ports import Tell
from edgevae.errors import InputError

_CONFIGS = ("vae_decoder", "vae_encoder", "vae", ".")
_FIELDS = {*latent.FIELDS, "_class_name", "latent_channels", "sample_size", "force_upcast"}
_HALVES = {ir.DataType.FLOAT16, ir.DataType.BFLOAT16}
_POINTS = ("AutoencoderTiny", "AutoencoderDC")  # whose encoders have no posterior
_TRIAL = 8  # rows and columns of a latent, to see what the decoder makes of them
_RANGE = (-1.0, 1.0)


Source = bytes | str | os.PathLike[str]
Shape = tuple[int, ...]
Size = tuple[int, ...]


class Sources(NamedTuple):
    """What `compile` is to be given: paths or bytes of graphs, and what is known beside them.

    `model` is as in `Bundle`; `notes` say what was taken for granted.
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
    """Reads a folder that has a decoder and may have an encoder: graphs of one size and of z.

    `size` is the height and width of the images, or the one number that is both; without it that
    of the config, sample_size. `scaling_factor` goes before that of the config.

    Raises `InputError` where there is no decoder, where nothing says the latent's scale or the
    size, or where the graphs are of float16, in which such models overflow.
    """
    root = Path(folder)
    paths = {role: root / f"vae_{role}" / "model.onnx" for role in ("decoder", "encoder")}
    if not paths["decoder"].is_file():
        alone = ", and an encoder alone makes no bundle" if paths["encoder"].is_file() else ""
        raise InputError(
            f"{root}: expected vae_decoder/model.onnx, as `optimum-cli export onnx` writes it, got "
            f"no such file{alone}; give --decoder and --encoder for graphs that lie elsewhere"
        )
    notes: list[str] = []
    tell = notes.append
    config = _config(root)
    scale = latent.read(config, str(root), scaling_factor)
    decoder = _open(paths["decoder"])
    z_shape, x_shape = _settle_decoder(decoder, str(paths["decoder"]), config, tuple(size), tell)
    scale = scale.over(z_shape[0], str(root))
    x_range = guess.bounds(decoder.graph.outputs[0]) or _RANGE
    tell(f"range: {x_range[0]:g} to {x_range[1]:g}, unless --range says another")
    latent.ahead(decoder, scale.own)
    encoder, model = None, "autoencoder" if config.get("_class_name") in _POINTS else "vae"
    if paths["encoder"].is_file():
        where, encoder = str(paths["encoder"]), _open(paths["encoder"])
        model = _settle_encoder(encoder, where, z_shape, x_shape, scale, tell)
    if model == "vae":
        tell(
            "prior: the standard normal, unless --prior is given; a VAE made for latent diffusion "
            "hardly fills it, and generates well from a mixture fitted to what it encodes"
        )
    if config.get("force_upcast"):
        tell("force_upcast: the model overflows in float16; all is computed in float32")
    return Sources(
        decoder=_data(decoder),
        encoder=None if encoder is None else _data(encoder),
        x_range=x_range,
        model=model,
        provenance=_provenance(config, scaling_factor, decoder),
        notes=notes,
    )


def _config(root: Path) -> dict[str, Any]:
    """The fields that matter, of every config that there is; they must not contradict."""
    found: dict[str, tuple[Any, Path]] = {}
    for path in (root / name / "config.json" for name in _CONFIGS):
        if not path.is_file():
            continue
        for key, value in _parse(path).items():
            if key not in _FIELDS or value is None:
                continue
            first, where = found.setdefault(key, (value, path))
            if first != value:
                raise InputError(
                    f"{path}: expected {key} {first!r:.40} as in {where}, got {value!r:.40}; "
                    f"remove the config that is not of this model"
                )
    return {key: value for key, (value, _) in found.items()}


def _parse(path: Path) -> Mapping[str, Any]:
    try:
        config = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: expected JSON, got {error}; export the model again") from error
    if not isinstance(config, dict):
        raise InputError(f"{path}: expected an object, got {config!r:.40}; export the model again")
    return config


def _open(path: Path) -> ir.Model:
    model = front.open_graph(path, str(path))
    for value in (*model.graph.initializers.values(), *model.graph.inputs):
        if value.dtype in _HALVES:
            raise InputError(
                f"{path}: expected float32, got {value.name} of {value.dtype.name.lower()}, in "
                f"which such models overflow to black images; export with --dtype fp32"
            )
    return model


def _settle_decoder(
    model: ir.Model, where: str, config: Mapping[str, Any], size: Size, tell: Tell
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Fixes the shape of z; returns it and that of x_hat, both without the batch."""
    z, *told = ports.inputs_of_any_size(model, "decoder", where)
    ports.check_classes(told, 0, where)
    channels, *sides = _dims(z, where)
    channels = channels or config.get("latent_channels")
    if not isinstance(channels, int):
        raise InputError(
            f"{where}: expected latent_channels in config.json, since {z.name} may have any number "
            f"of channels, got none; add it"
        )
    if None in sides:
        trial = [side or _TRIAL for side in sides]
        wanted = _height_and_width(size or config.get("sample_size"), where)
        _, *made = _run(model, where, (channels, *trial))
        sides = [
            _divided(length, large // small, where)
            for length, large, small in zip(wanted, made, trial, strict=True)
        ]
        tell(f"size: {wanted[0]} x {wanted[1]}, so that latents have {sides[0]} x {sides[1]}")
    z_shape = (channels, *(side for side in sides if side))
    _fix(model, z, z_shape)
    x_shape = _run(model, where, z_shape)
    if size and _height_and_width(size, where) != x_shape[1:]:
        raise InputError(
            f"{where}: expected a decoder to {size} pixels, got one that was exported for "
            f"{x_shape[1:]} alone; leave out --size, or export it with free sizes"
        )
    return z_shape, x_shape


def _settle_encoder(
    model: ir.Model, where: str, z_shape: Shape, x_shape: Shape, scale: Latent, tell: Tell
) -> str:
    """Fixes the shape of x and scales what comes out; returns which `model` it is."""
    (x,) = ports.inputs_of_any_size(model, "encoder", where)
    free = zip(_dims(x, where), x_shape, strict=True)
    _fix(model, x, tuple(given or made for given, made in free))
    outputs = ports.choose(model, "encoder", where, (), tell)
    if len(outputs) == 1:
        outputs = noise.unsample(outputs[0], where, tell) or outputs
    model.graph.outputs[:] = outputs
    channels = _run(model, where, x_shape)[0]
    kind, maps = "vae", [scale.mu, scale.logvar]
    if len(outputs) == 1 and channels == 2 * z_shape[0]:
        maps = [scale.parameters]
    elif len(outputs) == 1:
        kind, maps = "autoencoder", [scale.mu]
        tell(f"{where}: {outputs[0].name} is one latent an item, so this is an autoencoder")
    rank = 1 + len(z_shape)
    pairs = zip(outputs, maps, strict=True)
    model.graph.outputs[:] = [latent.after(model, value, each, rank) for value, each in pairs]
    _forget(model)
    return kind


def _dims(value: ir.Value, where: str) -> list[int | None]:
    """Channels, height and width of a port, None where they are free."""
    dims = list(value.shape or ())
    if len(dims) != 4:
        raise InputError(
            f"{where}: expected {value.name} of images (batch, channels, height, width), got "
            f"{len(dims)} axes; video and audio are not supported"
        )
    return [size if isinstance(size, int) else None for size in dims[1:]]


def _height_and_width(size: object, where: str) -> tuple[int, int]:
    given = list(size) if isinstance(size, (list, tuple)) else [size]
    sides = [side for side in given if isinstance(side, int) and side > 0]
    if len(sides) not in (1, 2) or len(sides) != len(given):
        raise InputError(
            f"{where}: expected a size, since the graph takes any and a bundle has one, got "
            f"{size!r:.40}; say --size 256, or --size 256 384 for height and width"
        )
    return sides[0], sides[-1]


def _divided(length: int, factor: int, where: str) -> int:
    if length % factor:
        raise InputError(
            f"{where}: expected a size that is a multiple of {factor}, by which the decoder "
            f"enlarges, got {length}; say --size {max(1, round(length / factor)) * factor}"
        )
    return length // factor


def _fix(model: ir.Model, port: ir.Value, shape: Shape) -> None:
    assert port.shape is not None
    port.shape = ir.Shape([port.shape[0], *shape])
    _forget(model)


def _forget(model: ir.Model) -> None:
    """Lets go of the sizes that were noted for any height and width."""
    shapes.forget(model)
    for output in model.graph.outputs:
        output.type = ir.TensorType(ir.DataType.FLOAT)  # unknown of a value from within the graph
        output.shape = ir.Shape([None] * 4)


def _run(model: ir.Model, where: str, shape: Shape) -> tuple[int, ...]:
    """The shape of the first output for an item of this shape, without the batch."""
    runner = parity.Runner(model, where, exactly=True)
    return runner.run(np.zeros((1, *shape), np.float32))[0].shape[1:]


def _provenance(
    config: Mapping[str, Any], scaling_factor: float | None, decoder: ir.Model
) -> dict[str, str | float]:
    """What the folder says, as the manifest takes it: text and numbers."""
    given = {} if scaling_factor is None else {"scaling_factor": scaling_factor}
    said = {**config, **given, "exported_by": decoder.producer_name, "onnx": onnx.__version__}
    return {
        key.strip("_"): value if type(value) in (str, int, float) else json.dumps(value)
        for key, value in said.items()
        if value is not None
    }


def _data(model: ir.Model) -> bytes:
    data: bytes = ir.to_proto(model).SerializeToString()
    return data

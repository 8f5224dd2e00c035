"""VAE: rows are a function of the seed, and results have the type of the caller's items."""

import dataclasses
import math
import multiprocessing
import os
import pickle
import shutil
import subprocess
import sys
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tiny import int8, no_graph

import edgevae
from edgevae import packing, sampling
from edgevae.data import Image as Images
from edgevae.data import from_pil, open_image
from edgevae.engine import Runner, binding, turns
from edgevae.errors import BundleError, EdgeVAEError, InputError, ProviderError
from edgevae.latents import paths as walks

NAMES = ["grey", "colour", "vector"]
CLOSE = 2e-6  # of float32 sums of at most 144 numbers of about 1


@pytest.fixture(scope="module")
def vaes(tiny_paths):
    return {name: edgevae.load(path, threads=2) for name, path in tiny_paths.items()}


@pytest.fixture
def grey(vaes):
    return vaes["grey"]


@pytest.fixture
def colour(vaes):
    return vaes["colour"]


@pytest.fixture
def pictures(grey):
    """Five uint8 images (5, 8, 8, 1)."""
    return grey.generate(5, seed=1, dtype="uint8")


# --- generate --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_generate_decodes_the_latents_of_the_seed(tinies, vaes, name):
    tiny, x = tinies[name], vaes[name].generate(300, seed=7)
    assert x.dtype == np.float32
    assert x.shape == (300, *tiny.x_shape)
    z = vaes[name].sample(300, seed=7)
    np.testing.assert_allclose(x, tiny.decode(z), atol=CLOSE)


def test_latents_are_those_of_the_kernels(tinies, vaes):
    prior = tinies["grey"].prior
    table = sampling.MixtureTable(prior.weights, prior.means, prior.logvars)
    expected = sampling.mixture(50, table, seed=3, start=9, temperature=0.5)
    actual = vaes["grey"].sample(50, seed=3, start=9, temperature=0.5)
    np.testing.assert_array_equal(actual, expected)
    expected = sampling.normal(50, 6, seed=3, start=9) * np.float32(0.5)
    actual = vaes["colour"].sample(50, seed=3, start=9, temperature=0.5)
    np.testing.assert_array_equal(actual.reshape(50, 6), expected)


@pytest.mark.parametrize("name", NAMES)
def test_any_range_of_rows_is_the_same_rows(vaes, name):
    model = vaes[name]
    np.testing.assert_array_equal(
        model.sample(1000, seed=7)[400:500], model.sample(100, seed=7, start=400)
    )
    np.testing.assert_allclose(
        model.generate(1000, seed=7)[400:500],
        model.generate(100, seed=7, start=400),
        atol=CLOSE,
    )


@settings(max_examples=30, deadline=None)
@given(
    n=st.integers(0, 300),
    start=st.integers(0, 2**64 - 1),
    batch=st.integers(1, 90),
    seed=st.integers(0, 2**64 - 1),
)
def test_a_stream_is_generate_in_batches(vaes, n, start, batch, seed):
    model = vaes["vector"]
    batches = list(model.stream(n, seed=seed, start=start, batch=batch))
    assert [len(x) for x in batches[:-1]] == [batch] * (len(batches) - 1)
    whole = model.generate(n, seed=seed, start=start)
    np.testing.assert_allclose(np.concatenate([*batches, whole[:0]]), whole, atol=CLOSE)


def test_a_stream_without_a_seed_has_one_seed(grey, monkeypatch):
    monkeypatch.setattr(sampling, "fresh_seed", iter([11]).__next__)
    streamed = np.concatenate(list(grey.stream(20, batch=6)))
    np.testing.assert_allclose(streamed, grey.generate(20, seed=11), atol=CLOSE)


def test_an_autoencoder_encodes_and_decodes_but_has_nothing_to_generate_from(tinies, tmp_path):
    tiny = tinies["colour"]
    vae = edgevae.load(tiny.write(tmp_path / "b", model="autoencoder").path)
    x = np.zeros((2, *tiny.x_shape), np.float32)
    assert vae.reconstruct(x).shape == x.shape
    assert vae.decode(vae.encode(x).mu).shape == x.shape
    for draw in (vae.sample, vae.generate, vae.stream):
        with pytest.raises(InputError, match="autoencoder, which has no prior"):
            draw(2, seed=1)


def test_a_stream_refuses_before_it_is_read(grey):
    with pytest.raises(InputError, match="batch: expected a whole number at least 1, got 0"):
        grey.stream(10, batch=0)
    with pytest.raises(InputError, match="dtype: expected"):
        grey.stream(10, dtype="float16")


def test_the_number_of_threads_does_not_change_the_rows(tiny_paths):
    one, three = (edgevae.load(tiny_paths["grey"], threads=n) for n in (1, 3))
    for n in (1, 2, 8, 9, 25, 500):
        np.testing.assert_allclose(one.generate(n, seed=2), three.generate(n, seed=2), atol=CLOSE)


def test_without_a_seed_every_call_differs(grey):
    assert not np.array_equal(grey.sample(3), grey.sample(3))


def test_row_numbers_wrap_as_64_bits_do(grey):
    last = grey.sample(3, seed=1, start=2**64 - 1)
    np.testing.assert_array_equal(last[1:], grey.sample(2, seed=1, start=0))
    rows = grey.generate(300, seed=1, start=2**64 - 100)
    np.testing.assert_allclose(rows[100:], grey.generate(200, seed=1), atol=CLOSE)


def test_temperature_scales_the_noise_within_a_component(tinies, grey):
    cold = grey.sample(200, seed=5, temperature=0)
    means = tinies["grey"].prior.means
    nearest = np.abs(cold[:, None] - means).max(axis=2)
    assert (nearest.min(axis=1) == 0).all()
    component = nearest.argmin(axis=1)
    warm, hot = (grey.sample(200, seed=5, temperature=t) - means[component] for t in (1, 3))
    np.testing.assert_allclose(hot, 3 * warm, atol=1e-5)


@pytest.mark.parametrize("n", [0, 1, 7, 100])
@pytest.mark.parametrize("name", ["grey", "colour"])
def test_uint8_is_the_float_packed(vaes, name, n):
    floats, pixels = (vaes[name].generate(n, seed=4, dtype=d) for d in ("float32", "uint8"))
    channels, height, width = vaes[name].bundle.x_shape
    assert pixels.dtype == np.uint8
    assert pixels.shape == (n, height, width, channels)
    unit = floats if name == "grey" else (floats + 1) / 2
    difference = packing.pack(np.ascontiguousarray(unit)).astype(int) - pixels
    assert np.abs(difference).max(initial=0) <= (name == "colour")  # (x+1)/2 rounds elsewhere


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
@pytest.mark.parametrize("n", [0, 3, 200])
def test_out_is_filled_and_returned(grey, dtype, n):
    expected = grey.generate(n, seed=8, dtype=dtype)
    out = np.full_like(expected, 77)
    assert grey.generate(n, seed=8, dtype=dtype, out=out) is out
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize(
    "out",
    [
        np.empty((3, 1, 8, 8)),
        np.empty((4, 1, 8, 8), np.float32),
        np.empty((3, 8, 8, 1), np.float32),
        np.empty((3, 1, 8, 16), np.float32)[..., ::2],
        np.empty((3, 1, 8, 8), np.uint8),
        np.broadcast_to(np.float32(0), (3, 1, 8, 8)),
        [[0.0]],
    ],
)
def test_another_out_is_refused(grey, out):
    with pytest.raises(InputError, match=r"out: expected .* float32 array of shape \(3, 1, 8, 8\)"):
        grey.generate(3, out=out)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"n": -1}, "n: expected a whole number from 0 to 18446744073709551615, got -1"),
        ({"n": 1.0}, "n: expected a whole number"),
        ({"n": True}, "n: expected a whole number"),
        ({"n": None}, "n: expected a whole number"),
        ({"seed": -1}, "seed: expected a whole number from 0 to 18446744073709551615, got -1"),
        ({"seed": 2**64}, "seed: expected"),
        ({"seed": "7"}, "seed: expected a whole number .*got '7'"),
        ({"start": -1}, "start: expected"),
        ({"start": 2**64}, "start: expected"),
        ({"temperature": -0.1}, "temperature: expected a finite number of at least 0"),
        ({"temperature": math.nan}, "temperature: expected"),
        ({"temperature": math.inf}, "temperature: expected"),
        ({"temperature": "1"}, "temperature: expected"),
        ({"dtype": "float64"}, "dtype: expected 'float32' or 'uint8', got 'float64'"),
        ({"dtype": None}, "dtype: expected"),
    ],
)
def test_a_wrong_argument_of_generate_is_refused(grey, arguments, says):
    with pytest.raises(InputError, match=says):
        grey.generate(**{"n": 0, **arguments})


@pytest.mark.parametrize("n", [10**16, 2**63, 2**64 - 1])
def test_more_rows_than_memory_are_refused(grey, n):
    for verb in (grey.generate, grey.sample):
        with pytest.raises(InputError, match=r"do not fit into memory .*use stream"):
            verb(n)


def test_memory_is_bounded_by_the_chunk(grey):
    n = 20_000
    out = np.empty((n, 8, 8, 1), np.uint8)
    grey.generate(1000, seed=1, dtype="uint8")
    tracemalloc.start()
    grey.generate(n, seed=1, dtype="uint8", out=out)
    generated = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    for _ in grey.stream(n, seed=1, batch=100):
        pass
    streamed = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    floats = 4 * 64 * n
    assert max(generated, streamed) < floats / 20


def test_numpy_integers_are_whole_numbers(grey):
    x = grey.generate(np.int64(2), seed=np.uint64(7), start=np.int8(0), temperature=np.float32(1))
    np.testing.assert_array_equal(x, grey.generate(2, seed=7))


def test_vectors_are_not_pictures(vaes):
    with pytest.raises(InputError, match="bundle 'tiny-vector' returns vectors"):
        vaes["vector"].generate(1, dtype="uint8")


# --- encode ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n", [0, 1, 2, 300])
def test_encode_is_the_encoder(tinies, vaes, name, n):
    x = np.random.default_rng(0).random((n, *tinies[name].x_shape)).astype(np.float32)
    posterior = vaes[name].encode(x)
    mu, logvar = tinies[name].encode(x)
    assert posterior.mu.shape == posterior.logvar.shape == (n, *tinies[name].latent_shape)
    np.testing.assert_allclose(posterior.mu, mu, atol=CLOSE)
    np.testing.assert_allclose(posterior.logvar, logvar, atol=CLOSE)
    assert posterior.kl().shape == (n,)
    assert posterior.sample(draws=2).shape == (2, *posterior.mu.shape)


@pytest.mark.parametrize("given_as", ["path", "str", "pil", "uint8", "float", "list"])
def test_every_form_of_an_image_is_the_same_image(grey, pictures, tmp_path, given_as):
    image = Image.fromarray(pictures[0, ..., 0])
    image.save(tmp_path / "x.png")
    forms = {
        "path": tmp_path / "x.png",
        "str": str(tmp_path / "x.png"),
        "pil": image.convert("RGB"),
        "uint8": pictures[0],
        "float": pictures[0].transpose(2, 0, 1) / 255.0,
        "list": [image],
    }
    mu = grey.encode(forms[given_as]).mu
    assert mu.shape == (1, 4)
    np.testing.assert_allclose(mu, grey.encode(pictures[:1]).mu, atol=CLOSE)


def test_sixteen_bits_are_scaled_not_clipped():
    grey = np.arange(0, 65536, 1024, dtype=np.uint16).reshape(8, 8)
    expected = np.floor(grey / 257 + 0.5).astype(np.uint8)
    got = from_pil(Image.fromarray(grey), 1)
    np.testing.assert_array_equal(got[..., 0], expected)


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_pixels_whose_white_is_unknown_are_refused(grey, dtype):
    with pytest.raises(InputError, match=r"an image of 8 or 16 bits, got mode '[IF]'"):
        grey.encode(Image.fromarray(np.zeros((8, 8), dtype)))


def test_a_photo_is_turned_upright(tmp_path, pictures):
    exif = Image.Exif()
    exif[274] = 6  # the camera was held so that a viewer turns it by 90 degrees clockwise
    Image.fromarray(pictures[0, ..., 0]).save(tmp_path / "x.png", exif=exif)
    upright = from_pil(open_image(tmp_path / "x.png"), 1)
    np.testing.assert_array_equal(upright[..., 0], np.rot90(pictures[0, ..., 0], -1))


def test_pixels_fill_the_range(colour):
    ends = np.array([0, 255], np.uint8)
    x = colour.bundle.data.read(np.broadcast_to(ends[:, None, None, None], (2, 8, 6, 3))).rows
    assert np.unique(x[0]).tolist() == [-1.0]
    assert np.unique(x[1]).tolist() == [1.0]
    every = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    for span in ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0)):
        back = Images((1, 16, 16), span).read(every)
        np.testing.assert_array_equal(back.back(back.rows), every)


@pytest.mark.parametrize(
    ("x", "says"),
    [
        (np.zeros((2, 1, 8, 7), np.float32), r"shape \(N, 1, 8, 8\) or \(1, 8, 8\), got \(2, 1, 8"),
        (np.zeros((8, 8), np.float32), r"shape \(N, 1, 8, 8\)"),
        (np.zeros((1, 1, 1, 8, 8), np.float32), r"shape \(N, 1, 8, 8\)"),
        (np.zeros((2, 1, 8, 8), np.uint8), r"uint8 of shape \(N, 8, 8, 1\) or \(8, 8, 1\)"),
        (np.zeros((2, 1, 8, 8), np.int64), "float32, one of uint8.*got an array of int64"),
        (np.zeros((2, 1, 8, 8), complex), "got an array of complex128"),
        (None, "got a NoneType"),
        (3.0, "got a float"),
        ([None], "item 0 of the list: x: expected"),
        ([np.zeros((2, 1, 8, 8), np.float32)], "item 0 of the list: expected a single item"),
        ([[0.0]], "item 0 of the list: expected a single item, got a list"),
        ("missing.png", r"missing\.png: expected a file that can be read: No such file"),
        (__file__, r"test_vae\.py: expected an image file"),
        (Image.new("L", (28, 28)), r"8 x 8 pixels, got 28 x 28; image\.resize\(\(8, 8\)\)"),
        (np.full((1, 1, 8, 8), np.nan, np.float32), "NaN or infinity in row 0"),
        (np.full((1, 1, 8, 8), -np.inf, np.float32), "NaN or infinity in row 0"),
        (np.full((1, 1, 8, 8), 255, np.float32), "about 0 to 1, got 255 to 255; .*divide by 255"),
        (np.full((1, 1, 8, 8), -9, np.float32), "about 0 to 1, got -9 to -9"),
    ],
)
def test_an_invalid_image_is_refused(grey, x, says):
    for verb in (grey.encode, grey.reconstruct, grey.denoise):
        with pytest.raises(InputError, match=says):
            verb(x)


def test_the_row_with_the_nan_is_named(grey):
    x = np.zeros((50, 1, 8, 8), np.float32)
    x[31, 0, 3, 3] = np.nan
    with pytest.raises(InputError, match=r"in row 31 \(1 of 50 rows\)"):
        grey.encode(x)


def test_noise_beyond_the_range_passes(grey):
    noise = np.random.default_rng(0).standard_normal((500, 1, 8, 8)).astype(np.float32)
    assert np.isfinite(grey.encode(0.5 + 0.5 * noise).mu).all()


def test_vectors_without_a_range_may_be_large(tinies, vaes):
    x = np.full((2, 5), 1e4, np.float32)
    np.testing.assert_allclose(
        vaes["vector"].encode(x).mu, tinies["vector"].encode(x)[0], rtol=1e-5
    )
    with pytest.raises(InputError, match="NaN or infinity"):
        vaes["vector"].encode(x * np.float32(np.nan))
    with pytest.raises(InputError, match="expected an array of float32, got an array of uint8"):
        vaes["vector"].encode(x.astype(np.uint8))


# --- data -> data ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_reconstruct_decodes_mu(tinies, vaes, name):
    tiny, x = tinies[name], vaes[name].generate(40, seed=6)
    expected = tiny.decode(tiny.encode(x)[0])
    np.testing.assert_allclose(vaes[name].reconstruct(x), expected, atol=2 * CLOSE)
    np.testing.assert_allclose(vaes[name].reconstruct(x[3]), expected[3], atol=2 * CLOSE)


def test_reconstruct_returns_the_type_of_the_input(grey, pictures, tmp_path):
    expected = grey.reconstruct(pictures)
    assert expected.dtype == np.uint8
    assert expected.shape == (5, 8, 8, 1)
    assert not np.array_equal(expected, pictures)

    image = Image.fromarray(pictures[2, ..., 0])
    image.save(tmp_path / "x.png")
    for x in (image, tmp_path / "x.png", str(tmp_path / "x.png")):
        result = grey.reconstruct(x)
        assert isinstance(result, Image.Image)
        assert result.mode == "L"
        np.testing.assert_array_equal(np.asarray(result), expected[2, ..., 0])

    one = grey.reconstruct(pictures[2])
    np.testing.assert_array_equal(one, expected[2])

    mixed = grey.reconstruct([image, pictures[3], pictures[4].transpose(2, 0, 1) / 255.0])
    assert isinstance(mixed, list)
    np.testing.assert_array_equal(np.asarray(mixed[0]), expected[2, ..., 0])
    np.testing.assert_array_equal(mixed[1], expected[3])
    assert mixed[2].dtype == np.float32
    assert mixed[2].shape == (1, 8, 8)
    assert grey.reconstruct([]) == []


def test_colour_images_are_rgb(colour):
    image = colour.reconstruct(Image.new("L", (6, 8), 128))
    assert (image.mode, image.size) == ("RGB", (6, 8))
    transparent = Image.new("RGBA", (6, 8), (10, 200, 30, 255))
    np.testing.assert_array_equal(
        colour.encode(transparent).mu, colour.encode(transparent.convert("RGB")).mu
    )


def test_inputs_are_not_changed(grey, pictures):
    floats = grey.generate(5, seed=1)
    floats.flags.writeable = pictures.flags.writeable = False
    grey.reconstruct(floats)
    grey.reconstruct(pictures)
    grey.decode(grey.encode(floats[::2]).mu)


def test_denoise_is_for_bundles_that_were_trained_for_it(grey, colour, pictures):
    np.testing.assert_array_equal(grey.denoise(pictures), grey.reconstruct(pictures))
    with pytest.raises(InputError, match="'tiny-image' was not trained to denoise"):
        colour.denoise(colour.generate(1))


@pytest.mark.parametrize("n", [0, 1, 6, 300])
def test_decode_is_the_decoder(tinies, colour, n):
    z = np.random.default_rng(1).standard_normal((n, 2, 3))
    x_hat = colour.decode(z)
    assert x_hat.dtype == np.float32
    np.testing.assert_allclose(x_hat, tinies["colour"].decode(z), atol=CLOSE)
    if n:
        np.testing.assert_allclose(colour.decode(z[0]), x_hat[0], atol=CLOSE)


@pytest.mark.parametrize(
    ("z", "says"),
    [
        (np.zeros((2, 3, 2)), r"z: expected shape \(N, 2, 3\) or \(2, 3\), got \(2, 3, 2\)"),
        (np.zeros(6), r"z: expected shape"),
        (np.zeros((1, 1, 2, 3)), r"z: expected shape"),
        (np.full((2, 3), np.inf), "z: expected finite numbers"),
        ("z", "z: expected an array of float32, got 'z'"),
        (None, "z: expected an array of float32, got None"),
        ([[1, 2, 3], [4]], "z: expected an array of float32, got"),
    ],
)
def test_an_invalid_latent_is_refused(colour, z, says):
    with pytest.raises(InputError, match=says):
        colour.decode(z)


def test_interpolation_is_a_line_between_the_ends(tinies, grey):
    a, b = grey.generate(2, seed=3)
    line = grey.interpolate(a, b, 5)
    assert line.shape == (5, 1, 8, 8)
    mu = tinies["grey"].encode(np.stack([a, b]))[0]
    expected = tinies["grey"].decode(np.linspace(mu[0], mu[1], 5))
    np.testing.assert_allclose(line, expected, atol=2 * CLOSE)


def test_interpolation_takes_what_reconstruct_takes(grey, colour, vaes, pictures):
    a, b = pictures[:2]
    pixels = grey.interpolate(a, b, 4)
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels[[0, -1]], grey.reconstruct(pictures[:2]))
    frames = grey.interpolate(Image.fromarray(a[..., 0]), b, 4)
    np.testing.assert_array_equal([np.asarray(frame) for frame in frames], pixels[..., 0])
    assert colour.interpolate(*colour.generate(2), 2).shape == (2, 3, 8, 6)
    assert vaes["vector"].interpolate(*vaes["vector"].generate(2), 3).shape == (3, 5)


def test_a_spherical_interpolation_is_an_arc(tinies, grey):
    a, b = grey.generate(2, seed=3)
    mu = tinies["grey"].encode(np.stack([a, b]))[0].astype(np.float32)
    expected = tinies["grey"].decode(walks.arc(*mu, 5))
    np.testing.assert_allclose(grey.interpolate(a, b, 5, spherical=True), expected, atol=2 * CLOSE)


def test_traversal_changes_one_dimension(tinies, colour, vaes):
    z = np.random.default_rng(2).standard_normal((2, 3)).astype(np.float32)
    x_hat = colour.traverse(z, 4, 5, span=2)
    expected = np.repeat(z[None], 5, axis=0)
    expected[:, 1, 1] = [-2, -1, 0, 1, 2]
    np.testing.assert_allclose(x_hat, tinies["colour"].decode(expected), atol=CLOSE)
    x = colour.generate(1)[0]
    np.testing.assert_allclose(
        colour.traverse(x, 0), colour.traverse(colour.encode(x).mu[0], 0), atol=CLOSE
    )
    frames = colour.traverse(Image.new("RGB", (6, 8)), 0, 3)
    assert [frame.size for frame in frames] == [(6, 8)] * 3
    for bad, dim, says in (
        (z, 6, "dim: "),
        (z, -1, "dim: "),
        (colour.generate(2), 0, "z: expected"),
    ):
        with pytest.raises(InputError, match=says):
            colour.traverse(bad, dim)


def test_interpolation_refuses_one_step_and_many_items(grey, pictures):
    with pytest.raises(InputError, match="steps: expected a whole number at least 2, got 1"):
        grey.interpolate(pictures[0], pictures[1], 1)
    with pytest.raises(InputError, match="b: expected a single item, got 5"):
        grey.interpolate(pictures[0], pictures, 3)


# --- load ------------------------------------------------------------------------------------


def test_load_describes_the_opened_bundle(tiny_paths):
    model = edgevae.load(str(tiny_paths["vector"]), provider="cpu", threads=1)
    assert (model.provider, model.threads) == ("cpu", 1)
    assert repr(model) == "<edgevae.VAE 'tiny-vector' on cpu, threads=1, float32>"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"provider": "gpu"}, ProviderError),
        ({"provider": 3}, InputError),
        ({"threads": 0}, InputError),
        ({"threads": 1.5}, InputError),
    ],
)
def test_load_refuses(tiny_paths, arguments, error):
    with pytest.raises(error) as caught:
        edgevae.load(tiny_paths["grey"], **arguments)
    assert isinstance(caught.value, EdgeVAEError)


def test_load_refuses_a_folder_without_a_bundle(tmp_path):
    with pytest.raises(BundleError, match="is no folder"):
        edgevae.load("no such bundle")
    with pytest.raises(BundleError, match="not a bundle"):
        edgevae.load(tmp_path)


def test_generating_needs_no_encoder_opened(tinies, tmp_path):
    broken = tinies["grey"].write(tmp_path / "b", encoder=no_graph()).path
    model = edgevae.load(broken)
    assert model.generate(2, seed=1).shape == (2, 1, 8, 8)
    with pytest.raises(BundleError, match=r"encoder\.onnx: onnxruntime .* cannot open"):
        model.encode(model.generate(2, seed=1))


def test_edgevae_generate_loads_once(tiny_paths, tmp_path):
    path = tmp_path / "once"
    shutil.copytree(tiny_paths["grey"], path)
    first = edgevae.generate(3, model=path, seed=2)
    shutil.rmtree(path)
    path.mkdir()
    np.testing.assert_array_equal(edgevae.generate(3, model=str(path), seed=2), first)
    assert edgevae.generate(model=path).shape == (1, 1, 8, 8)


def test_threads_may_share_a_vae(tiny_paths):
    model = edgevae.load(tiny_paths["grey"])
    gate = threading.Barrier(8)

    def run(i):
        gate.wait()
        return model.generate(20 * i, seed=i)

    with ThreadPoolExecutor(8) as pool:
        for i, x in enumerate(pool.map(run, range(8))):
            np.testing.assert_allclose(x, model.generate(20 * i, seed=i), atol=CLOSE)


@pytest.fixture
def inverted(tinies, tmp_path):
    """The bundle grey, with a decoder of its own in int8: that of the negative."""
    negative = dataclasses.replace(tinies["grey"], x_range=(1.0, 0.0)).decoder()
    return tinies["grey"].write(tmp_path / "b", further=[int8("decoder", negative)]).path


def test_a_precision_is_that_of_the_graph(inverted):
    plain, int8 = edgevae.load(inverted), edgevae.load(inverted, precision="int8")
    assert (plain.precision, int8.precision) == ("float32", "int8")
    x = plain.generate(4, seed=1)
    np.testing.assert_allclose(int8.generate(4, seed=1), 1 - x, atol=CLOSE)
    np.testing.assert_array_equal(int8.encode(x).mu, plain.encode(x).mu)
    twin = pickle.loads(pickle.dumps(int8))
    np.testing.assert_array_equal(twin.generate(4, seed=1), int8.generate(4, seed=1))
    made = edgevae.generate(4, model=inverted, precision="int8", seed=1)
    np.testing.assert_allclose(made, 1 - x, atol=CLOSE)


def test_a_missing_precision_is_refused(tiny_paths):
    with pytest.raises(
        BundleError, match=r"has only float32; make it with `edgevae compile --int8`"
    ):
        edgevae.load(tiny_paths["grey"], precision="int8")
    with pytest.raises(InputError, match="int8, bf16, auto, got 'half'"):
        edgevae.load(tiny_paths["grey"], precision="half")


def test_a_bundle_without_encoder_decodes(tinies, grey, pictures, tmp_path):
    decoder = edgevae.load(tinies["grey"].write(tmp_path / "b", encoder=None, noise=0.0).path)
    np.testing.assert_array_equal(decoder.generate(5, seed=1), grey.generate(5, seed=1))
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(decoder)).sample(2, seed=1), grey.sample(2, seed=1)
    )
    for verb in (decoder.encode, decoder.reconstruct):
        with pytest.raises(InputError, match="has no encoder: it only decodes"):
            verb(pictures)
    with pytest.raises(InputError, match="was not trained to denoise"):
        decoder.denoise(pictures)


def test_a_vae_is_pickled_by_its_path(grey):
    data = pickle.dumps(grey)
    assert len(data) < 1000
    twin = pickle.loads(data)
    assert twin.threads == grey.threads
    np.testing.assert_array_equal(twin.generate(9, seed=1), grey.generate(9, seed=1))


def test_a_vae_reaches_a_spawned_process(grey):
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        x = pool.apply(grey.generate, (9,), {"seed": 1})
    np.testing.assert_array_equal(x, grey.generate(9, seed=1))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_child_generates_and_ends(tiny_paths, tmp_path):
    """The test runs in a fresh interpreter, since a fork copies the locks of all threads."""
    code = f"""
import os, signal, sys, time, edgevae
vae = edgevae.load({os.fspath(tiny_paths["grey"])!r}, threads=2)
expected = [vae.generate(n, seed=1) for n in (1, 64)]
time.sleep(0.5)  # for onnxruntime's threads to fall asleep, from which nothing wakes the copies
child = os.fork()
if not child:
    signal.alarm(30)  # a child that hangs ends too
    same = all((vae.generate(len(x), seed=1) == x).all() for x in expected)
    del vae
    sys.exit(0 if same else 3)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_an_accelerator_gets_larger_chunks_and_one_at_a_time(grey, tiny_paths, monkeypatch):
    sizes, running, run = [], threading.Lock(), binding.run_in_place

    def note(session, inputs, outputs, options):
        assert running.acquire(blocking=False), "two runs at once"
        sizes.append(len(inputs["z"]))
        run(session, inputs, outputs, options)
        running.release()

    expected = grey.generate(4000, seed=1)
    monkeypatch.setattr(binding, "run_in_place", note)
    monkeypatch.setattr(Runner, "provider", "cuda")
    monkeypatch.setattr(Runner, "device_type", "GPU")
    grey = edgevae.load(tiny_paths["grey"], "cpu")
    decoder = grey.graph("decoder")
    sessions = decoder._sessions
    decoder.open(grey.threads)
    sessions[grey.threads] = sessions[grey.threads]._replace(
        provider="cuda", turn=turns.locked(decoder._accelerator)
    )
    assert (grey.generate(4000, seed=1) == expected).all()
    assert sizes == [1000] * 4


def test_a_vae_reports_where_every_node_runs_and_why(tiny_paths):
    placed = edgevae.load(tiny_paths["grey"]).providers
    assert list(placed) == ["encoder", "decoder"]
    assert placed["encoder"].provider == "cpu"
    assert placed["encoder"].nodes["cpu"] >= 3
    assert "auto tries cuda" in placed["decoder"].why
    listed = edgevae.load(tiny_paths["grey"], providers=["CPUExecutionProvider"])
    assert listed.providers["decoder"].why == "asked for by name"


def test_the_arguments_of_load_survive_pickling(tiny_paths):
    vae = edgevae.load(tiny_paths["grey"], providers=[("cpu", {"use_arena": "0"})], threads=1)
    again = pickle.loads(pickle.dumps(vae))
    assert again.runner.preference == vae.runner.preference
    assert again.runner.preference.choices[0][0].options == {"use_arena": "0"}


def test_providers_are_refused_by_load(tiny_paths):
    with pytest.raises(ProviderError, match="'migraphx' was asked for"):
        edgevae.load(tiny_paths["grey"], providers=["cpu", "migraphx"])
    with pytest.raises(ProviderError, match="'bf16' was asked for, which provider 'cpu' does not"):
        edgevae.load(tiny_paths["grey"], precision="bf16")


def test_activations_are_those_of_numpy(tinies, tiny_paths, tmp_path):
    tiny = tinies["grey"]
    vae = edgevae.load(tiny.write(tmp_path / "b", activations=tiny.activations()).path, threads=2)
    x = np.random.default_rng(0).random((300, 1, 8, 8), np.float32)
    expected = np.tanh(x.reshape(300, 64) @ tiny.weights["logvar"])
    np.testing.assert_allclose(vae.activations(x), expected, atol=1e-5)
    assert set(vae.providers) == {"encoder", "decoder", "activations"}
    with pytest.raises(InputError, match="has no activations: the score `nap` needs them"):
        edgevae.load(tiny_paths["grey"]).activations(x)

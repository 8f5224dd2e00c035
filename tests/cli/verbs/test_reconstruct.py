"""`edgevae reconstruct` and `denoise` return images, folders and arrays as they came."""

import os
from pathlib import Path

import numpy as np
import pytest
from command_line import pixels
from PIL import Image

from edgevae import cli, vae


@pytest.mark.parametrize("command", ["reconstruct", "denoise"])
def test_an_image_comes_back_as_an_image(grey, files, command):
    assert cli.main([command, files[2], "--model", grey]) == 0
    out = {"reconstruct": "reconstructed.png", "denoise": "denoised.png"}[command]
    assert np.array_equal(pixels(out), np.asarray(vae.load(grey).reconstruct(files[2])))


def test_a_folder_comes_back_as_a_folder_of_the_same_names(grey, files):
    assert cli.main(["reconstruct", "images", "--model", grey]) == 0
    expected = vae.load(grey).reconstruct(files)
    assert sorted(os.listdir("reconstructed")) == sorted(os.listdir("images"))
    for file, image in zip(files, expected, strict=True):
        assert np.array_equal(pixels(f"reconstructed/{Path(file).name}"), np.asarray(image))


def test_images_of_one_stem_keep_their_suffixes_apart(grey, files):
    os.mkdir("mixed")
    with Image.open(files[0]) as image:
        image.save("mixed/a.png")
        image.save("mixed/a.bmp")
    assert cli.main(["denoise", "mixed", "--model", grey]) == 0
    assert sorted(os.listdir("denoised")) == ["a.bmp.png", "a.png.png"]


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_an_array_comes_back_as_an_array_of_its_type(grey, dtype):
    run = ["generate", "5", "--seed", "2", "--model", grey, "--dtype", dtype, "--out", "x.npy"]
    assert cli.main(run) == 0
    assert cli.main(["reconstruct", "x.npy", "--model", grey]) == 0
    got, expected = np.load("reconstructed.npy"), vae.load(grey).reconstruct(np.load("x.npy"))
    assert (got.dtype, got.shape) == (np.dtype(dtype), expected.shape)
    np.testing.assert_allclose(got.astype(float), expected.astype(float), atol=1e-5)


def test_compare_draws_pairs(grey, files):
    run = ["reconstruct", "images", "--model", grey, "--scale", "1"]
    assert cli.main([*run, "--compare", "--out", "c.png"]) == 0
    sheet = pixels("c.png")
    tiles = sheet.reshape(sheet.shape[0] // 8, 8, -1, 8).swapaxes(1, 2).reshape(-1, 8, 8)
    x_hat = vae.load(grey).reconstruct(files)
    assert np.array_equal(tiles[0:10:2], [pixels(file) for file in files])
    assert np.array_equal(tiles[1:10:2], [np.asarray(image) for image in x_hat])


def test_denoise_needs_a_bundle_that_denoises(tiny_paths, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", np.zeros((1, 3, 8, 6), np.float32))
    assert cli.main(["denoise", "x.npy", "--model", str(tiny_paths["colour"])]) == 4
    assert "not trained to denoise" in capsys.readouterr().err

"""`edgevae decode` decodes the latents of a file or of standard input."""

import numpy as np
from command_line import pixels

from edgevae import cli, vae


def test_decode_takes_the_latents_that_encode_writes(grey, files):
    assert cli.main(["encode", "images", "--model", grey]) == 0
    model = vae.load(grey)
    expected = model.decode(model.encode(files).mu)
    for out in ("x.npy", "x.npz"):
        assert cli.main(["decode", "latents.npz", "--model", grey, "--out", out]) == 0
    np.testing.assert_allclose(np.load("x.npy"), expected, atol=1e-6)
    with np.load("x.npz") as archive:
        np.testing.assert_allclose(archive["x_hat"], expected, atol=1e-6)
    assert cli.main(["decode", "latents.npz", "--model", grey, "--scale", "1"]) == 0
    assert pixels("decoded.png").size >= 5 * 8 * 8


def test_latents_of_another_shape_are_refused(grey, capsys):
    np.save("z.npy", np.zeros((2, 3), np.float32))
    assert cli.main(["decode", "z.npy", "--model", grey]) == 4
    assert "z: expected shape (N, 4) or (4), got (2, 3)" in capsys.readouterr().err


def test_the_refusal_names_the_file_and_all_of_its_rows(grey, capsys):
    np.save("z.npy", np.zeros((1000, 3), np.float32))
    assert cli.main(["decode", "z.npy", "--model", grey]) == 4
    assert "z.npy: z: expected shape (N, 4) or (4), got (1000, 3)" in capsys.readouterr().err


def test_tiles_need_a_decoder_that_is_convolutional(grey, capsys):
    np.save("z.npy", np.zeros((1, 4), np.float32))
    assert cli.main(["decode", "z.npy", "--model", grey, "--tile"]) == 4
    assert "tile: expected a fully convolutional decoder" in capsys.readouterr().err

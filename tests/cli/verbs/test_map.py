"""`edgevae map` draws the latent space into a folder."""

import numpy as np
from PIL import Image

from edgevae import cli


def test_map_draws_every_picture(flat, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    x = flat.generate(30, seed=2, dtype="uint8")
    np.savez("test.npz", x=x, y=np.arange(30) % 4)
    assert cli.main(["map", "test.npz", "--model", str(flat.bundle.path), "--json"]) == 0
    for name in ("scatter", "prior", "units", "manifold"):
        with Image.open(f"map/{name}.png") as picture:
            assert min(picture.size) > 300
    assert '"labelled": true' in capsys.readouterr().out
    np.savez("wrong.npz", x=x, y=np.arange(3))
    assert cli.main(["map", "wrong.npz", "--model", str(flat.bundle.path)]) == 4
    assert "expected y of 30 labels" in capsys.readouterr().err

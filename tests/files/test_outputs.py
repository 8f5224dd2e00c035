"""An output's name gives its form, and every form holds exactly the results."""

import numpy as np
import PIL.Image
import pytest
from command_line import pixels
from sample_files import UNIT, images, in_batches

from edgevae import files
from edgevae.data import Image
from edgevae.latents import Posterior
from edgevae.packing import pack


@pytest.mark.parametrize(
    ("out", "form"),
    [("a.png", "sheet"), ("A.PNG", "sheet"), ("b/", "folder"), ("c.npy", "npy"), ("-", "npy"),
     ("d.npz", "npz"), ("e.gif", "gif"),
     ("f.JPG", "sheet"), ("g.webp", "sheet"), ("h.csv", "table"), ("i.parquet", "table")],
)  # fmt: skip
def test_the_name_gives_the_form(out, form):
    assert files.form_of(out) == form


def test_a_folder_that_exists_needs_no_slash(tmp_path):
    assert files.form_of(str(tmp_path)) == "folder"


def test_a_name_without_a_known_ending_is_refused():
    with pytest.raises(ValueError, match=r"\.png.*/ for a folder.*'picture\.tiff'"):
        files.form_of("picture.tiff")


def save(out, x, **more):
    results = files.Results(in_batches(x, 3), len(x), Image(x.shape[1:], UNIT), **more)
    files.save(str(out), files.form_of(str(out)), results)


def test_every_form_holds_the_items(tmp_path):
    x = images(5, 3)
    arrays = {"arrays": {"seed": np.uint64(7)}, "key": "x"}
    for name, more in (("x.npy", {}), ("x.npz", arrays), ("x.png", {}), ("f/", {}), ("x.gif", {})):
        save(tmp_path / name if name != "f/" else f"{tmp_path}/f/", x, **more)
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), x)
    with np.load(tmp_path / "x.npz") as archive:
        np.testing.assert_array_equal(archive["x"], x)
        assert archive["seed"] == 7
    assert pixels(tmp_path / "x.png").ndim == 3
    files_of_folder = sorted((tmp_path / "f").iterdir())
    assert np.array_equal([pixels(file) for file in files_of_folder], pack(x))
    with PIL.Image.open(tmp_path / "x.gif") as gif:
        assert gif.n_frames == 5


def test_an_array_of_uint8_holds_pixels(tmp_path):
    x = images(5, 3)
    save(tmp_path / "x.npy", x, dtype="uint8")
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), pack(x))


def test_posteriors_are_an_archive_of_mu_and_logvar(tmp_path, vector):
    mu, logvar = np.random.default_rng(0).standard_normal((2, 7, 2)).astype(np.float32)
    parts = [Posterior(mu[:3], logvar[:3]), Posterior(mu[3:], logvar[3:])]
    files.save_posteriors(str(tmp_path / "z.npz"), "npz", parts, 7, vector)
    with np.load(tmp_path / "z.npz") as archive:
        np.testing.assert_array_equal(archive["mu"], mu)
        np.testing.assert_array_equal(archive["logvar"], logvar)

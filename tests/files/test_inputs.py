"""Every verb reads the same inputs, each once."""

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from tiny import Tiny

from edgevae import bundle, files
from edgevae.data import Features
from edgevae.errors import InputError
from edgevae.files import batches, picture_files

GREY = Tiny("image", (1, 8, 8), (0.0, 1.0), (4,))
VECTOR = Tiny("vector", (3,), None, (2,))
SIGNAL = Tiny("signal", (2, 4), None, (3,))
NAMED = Features(("heat", "load", "speed"), (0.0,) * 3, (1.0,) * 3)


@pytest.fixture(scope="module")
def grey(tmp_path_factory):
    return GREY.write(tmp_path_factory.mktemp("grey") / "b")


@pytest.fixture(scope="module")
def vector(tmp_path_factory):
    return VECTOR.write(tmp_path_factory.mktemp("vector") / "b", features=NAMED)


@pytest.fixture(scope="module")
def signal(tmp_path_factory):
    return SIGNAL.write(tmp_path_factory.mktemp("signal") / "b", stride=3)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def items(inputs: files.Inputs) -> np.ndarray:
    return np.concatenate(list(inputs.batches))


def feed(monkeypatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))


X = np.float32([[1, 2, 3], [4, 5, 6]])
FORMS = {
    "x.csv": "speed,id,heat,load\n3,a,1,2\n6,b,4,5\n",
    "plain.csv": "1,2,3\n4,5,6\n",
    "x.jsonl": '[1, 2, 3]\n{"heat": 4, "load": 5, "speed": 6, "id": "b"}\n',
    "x.ndjson": '{"x": [1, 2, 3]}\n[4, 5, 6]\n',
}


@pytest.mark.parametrize(("name", "content"), FORMS.items())
def test_tables_are_read_from_a_file_and_from_standard_input(
    vector, here, monkeypatch, name, content
):
    Path(name).write_text(content)
    feed(monkeypatch, content.encode())
    for path in (name, "-"):
        inputs = files.read([path], vector)
        assert (inputs.form, inputs.rows, inputs.dtype) == ("table", 2, "float32")
        np.testing.assert_array_equal(items(inputs), X)
    twice = files.read([name, name], vector)
    assert twice.ids[:2] in (["a", "b"], [0, 1], [0, "b"])
    np.testing.assert_array_equal(items(twice), [*X, *X])


def test_parquet_and_arrays_are_read(vector, here):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    columns = dict(zip(NAMED.names, X.T, strict=True))
    parquet.write_table(pyarrow.table(columns), "x.parquet")
    np.save("x.npy", X)
    np.savez("x.npz", x=X)
    for name in ("x.parquet", "x.npy", "x.npz"):
        np.testing.assert_array_equal(items(files.read([name], vector)), X)


def test_a_bad_line_of_a_table_is_refused_before_any_work(vector, here):
    Path("x.csv").write_text("1,2,3\n" * 1000 + "1,2\n")
    with pytest.raises(InputError, match=r"x\.csv, line 1001: expected 3 values, got 2"):
        files.read(["x.csv"], vector)


def test_a_table_that_is_large_waits_in_a_file(vector, here, monkeypatch):
    monkeypatch.setattr(batches, "SPOOL_BYTES", 100)
    x = np.arange(3000, dtype=np.float32).reshape(1000, 3)
    np.savetxt("x.csv", x, delimiter=",")
    inputs = files.read(["x.csv"], vector)
    assert inputs.ids == list(range(1000))
    parts = list(inputs.batches)
    assert [len(part) for part in parts] == [256, 256, 256, 232]
    np.testing.assert_array_equal(np.concatenate(parts), x)


def test_an_image_may_be_a_row_of_a_table(grey, here):
    x = np.random.default_rng(0).random((2, 1, 8, 8), np.float32)
    np.savetxt("x.csv", x.reshape(2, -1), delimiter=",")
    np.testing.assert_allclose(items(files.read(["x.csv"], grey)), x, atol=1e-6)


def pictures(count: int, size: tuple[int, int] = (8, 8)) -> np.ndarray:
    rng = np.random.default_rng(count)
    pixels = rng.integers(0, 256, (count, size[1], size[0]), np.uint8)
    Path("images").mkdir(exist_ok=True)
    for i, picture in enumerate(pixels):
        Image.fromarray(picture).save(f"images/{i:03d}.png")
    return pixels


def test_a_picture_is_decoded_once(grey, here, monkeypatch):
    pixels = pictures(300)
    decoded = []
    read = picture_files.read_picture
    monkeypatch.setattr(
        picture_files,
        "read_picture",
        lambda file, *rest: decoded.append(file.name) or read(file, *rest),
    )
    inputs = files.read(["images"], grey)
    np.testing.assert_allclose(items(inputs)[:, 0], pixels / np.float32(255), atol=1e-7)
    assert len(decoded) == len(set(decoded)) == 300
    assert inputs.ids == [f"{i:03d}" for i in range(300)]


def test_many_inputs_are_read_as_they_are_used(grey, here, monkeypatch):
    """Beyond what is read ahead, a damaged file is found when its batch is due."""
    pictures(600)
    data = Path("images/599.png").read_bytes()
    Path("images/599.png").write_bytes(data[:60])  # the header is whole
    with pytest.raises(InputError, match=r"599\.png: expected a whole image file"):
        files.read(["images"], grey)
    monkeypatch.setattr(batches, "READ_AHEAD", 1)
    inputs = files.read(["images"], grey)
    assert len(next(inputs.batches)) == len(next(inputs.batches)) == 256
    with pytest.raises(InputError, match=r"599\.png: expected a whole image file"):
        next(inputs.batches)


def test_another_size_is_refused_with_the_option_that_fits_it(grey, here, monkeypatch):
    pictures(1, (16, 24))
    message = r"expected an image of 8 x 8 pixels, got 16 x 24; --resize makes it fit"
    with pytest.raises(InputError, match=rf"images.000\.png: {message}"):
        files.read(["images"], grey)
    feed(monkeypatch, Path("images/000.png").read_bytes())
    with pytest.raises(InputError, match=f"standard input: {message}"):
        files.read(["-"], grey)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "I;16", "1"])
def test_resize_fits_a_picture_of_any_mode(grey, here, monkeypatch, mode):
    grey_levels = Image.linear_gradient("L").resize((40, 20))
    if mode == "I;16":
        wide = np.asarray(grey_levels).astype(np.uint16) * 257
        Image.fromarray(wide).save("a.png")
    else:
        grey_levels.convert(mode).save("a.png")
    feed(monkeypatch, Path("a.png").read_bytes())
    for path in ("a.png", "-"):
        x = items(files.read([path], grey, resize=True))
        assert x.shape == (1, 1, 8, 8)
        if mode != "1":
            expected = np.asarray(grey_levels.resize((8, 8), Image.Resampling.LANCZOS)) / 255
            np.testing.assert_allclose(x[0, 0], expected, atol=0.02)


def test_a_picture_on_its_side_is_turned_before_its_size_is_compared(tiny_paths, here):
    wide = bundle.read(tiny_paths["colour"])  # 8 high, 6 wide
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    Path("images").mkdir()
    for i in range(300):
        Image.new("RGB", (8, 6)).save(f"images/{i}.jpg", exif=exif)
    assert items(files.read(["images"], wide)).shape == (300, 3, 8, 6)


@pytest.mark.parametrize("path", ["a.png", "images"])
def test_pictures_are_for_images(vector, here, path):
    pictures(1)
    with pytest.raises(InputError, match=r"expected vectors, which bundle .* takes, in \.npy"):
        files.read([path], vector)


def test_a_stride_that_leaves_steps_out_is_noted(tmp_path, here):
    sparse = SIGNAL.write(tmp_path / "b", stride=6)
    np.savetxt("x.csv", np.arange(40.0).reshape(20, 2), delimiter=",")
    notes = []
    assert len(items(files.read(["x.csv"], sparse, notify=notes.append))) == 3
    (note,) = notes
    assert "windows of 4 steps begin 6 steps apart: the 2 steps between them are left out" in note
    (batch,) = files.stream(["x.csv"], sparse, notes.append, disjoint=True)
    assert len(batch.x) == 5
    assert len(notes) == 1


def test_a_step_of_number_0_begins_a_window(signal, here):
    rows = [f"{name},{step},{step},{-step}" for name in "ab" for step in range(4)]
    Path("x.csv").write_text("\n".join(["id,step,c,d", *rows]))
    inputs = files.read(["x.csv"], signal)
    assert inputs.ids == ["a", "b"]
    np.testing.assert_array_equal(items(inputs), [[np.arange(4), -np.arange(4)]] * 2)


def test_latents_are_read_from_arrays_and_tables(vector, here, monkeypatch):
    z = np.float32([[1, 2], [3, 4], [5, 6]])
    np.savez("z.npz", mu=z, logvar=-z)
    np.save("z.npy", z)
    np.savetxt("z.csv", np.hstack([z, -z]), delimiter=",", header="mu0,mu1,logvar0,logvar1",
               comments="")  # fmt: skip
    np.savetxt("plain.csv", z, delimiter=",")
    Path("z.jsonl").write_text(
        "".join(json.dumps({"z1": b, "z0": a}) + "\n" for a, b in z.tolist())
    )
    for name in ("z.npz", "z.npy", "z.csv", "plain.csv", "z.jsonl"):
        np.testing.assert_array_equal(files.read_latents(name, vector), z)
        feed(monkeypatch, Path(name).read_bytes())
        np.testing.assert_array_equal(files.read_latents("-", vector), z)
    Path("bad.csv").write_text("a,b,c\n1,2,3\n")
    with pytest.raises(InputError, match=r"bad\.csv: expected 2 columns, as many as the latent's"):
        files.read_latents("bad.csv", vector)

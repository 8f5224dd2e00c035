"""Files hold exactly the results, appear when they are complete, and are refused before work."""

import io
import os
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence

from edgevae import files
from edgevae.errors import InputError
from edgevae.files import array_files, folders, sheets
from edgevae.files.animations import write_gif
from edgevae.packing import pack

UNIT = (0.0, 1.0)


def write_sheet(out, batches, rows, item, x_range=UNIT, *, columns=None, scale=1, **more):
    sheet = sheets.layout(rows, item, columns, scale, more.get("labels", ()))
    sheets.write_sheet(str(out), batches, sheet, x_range, **more)


def images(rows: int, channels: int = 1, height: int = 5, width: int = 3) -> np.ndarray:
    rng = np.random.default_rng(rows)
    return rng.random((rows, channels, height, width), dtype=np.float32)


def in_batches(x: np.ndarray, size: int):
    return (x[i : i + size] for i in range(0, len(x), size))


def never():
    raise AssertionError("work was begun for an output that cannot be written")
    yield


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


def test_a_name_that_says_nothing_is_refused():
    with pytest.raises(ValueError, match=r"\.png.*/ for a folder.*'picture\.tiff'"):
        files.form_of("picture.tiff")


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("batch", [1, 3, 4, 7, 100])
@pytest.mark.parametrize("rows", [1, 7, 16])
def test_every_tile_of_a_sheet_is_its_image_however_it_was_batched(tmp_path, rows, batch, channels):
    x, out = images(rows, channels), tmp_path / "sheet.png"
    write_sheet(out, in_batches(x, batch), rows, x.shape[1:], UNIT, columns=4)
    sheet = np.asarray(Image.open(out)).reshape(-(-rows // 4) * 5, 12, channels)
    tiles = [sheet[i // 4 * 5 :, i % 4 * 3 :][:5, :3] for i in range(-(-rows // 4) * 4)]
    assert np.array_equal(tiles[:rows], pack(x))
    assert not np.any(tiles[rows:])  # what is left over is black


def test_sixty_four_squares_make_eight_by_eight():
    assert sheets.near_square(64, 28, 28) == 8
    assert sheets.near_square(64, 10, 40) == 4
    assert sheets.near_square(2, 100, 1) == 2


def test_a_sheet_maps_the_range_of_the_data_to_bytes(tmp_path):
    x = np.array([-1, 0, 1], np.float32).reshape(3, 1, 1, 1)
    write_sheet(tmp_path / "a.png", [x], 3, (1, 1, 1), (-1.0, 1.0), columns=3)
    assert np.asarray(Image.open(tmp_path / "a.png")).tolist() == [[0, 128, 255]]


def test_a_sheet_carries_its_note(tmp_path):
    write_sheet(tmp_path / "a.png", [images(1)], 1, (1, 5, 3), UNIT, note="seed 7")
    assert Image.open(tmp_path / "a.png").text == {"edgevae": "seed 7"}


@pytest.mark.parametrize(("rows", "message"), [(0, "at least 1 row"), (10**6, "folder")])
def test_a_sheet_that_nobody_could_open_is_refused_before_work(tmp_path, rows, message):
    with pytest.raises(InputError, match=message):
        write_sheet(tmp_path / "a.png", never(), rows, (1, 28, 28), UNIT)
    assert not list(tmp_path.iterdir())


def test_a_folder_holds_one_image_a_row(tmp_path):
    x = images(5, 3)
    folders.write_folder(str(tmp_path / "new" / "f"), in_batches(x, 2), range(98, 103), UNIT)
    files = sorted((tmp_path / "new" / "f").iterdir())
    assert [file.name for file in files] == [f"{i:06d}.png" for i in range(98, 103)]
    assert np.array_equal([np.asarray(Image.open(file)) for file in files], pack(x))


def test_index_names_have_one_width():
    assert list(folders.file_names(range(9, 11))) == ["000009", "000010"]
    assert {len(name) for name in folders.file_names(range(10**9 - 1, 10**9 + 1))} == {10}


def test_names_of_files_stay_in_their_folder():
    ids = ["../../x", "/etc/passwd", "a/b", "a_b", ".hidden", "C:\\x", "Ärger 7-b", "", 12]
    names = list(folders.file_names(ids))
    assert names == [
        "_._.._x", "_etc_passwd", "a_b", "a_b-2", "_hidden", "C__x", "Ärger 7-b", "_", "000012"
    ]  # fmt: skip


@pytest.mark.parametrize("rows", [0, 1, 10])
def test_npy_is_what_numpy_reads(tmp_path, rows):
    x, out = images(rows), tmp_path / "x.npy"
    array_files.write_npy(str(out), in_batches(x, 3), x.shape, "float32")
    got = np.load(out)
    assert got.dtype == np.float32
    assert np.array_equal(got, x)


def test_npz_is_what_numpy_reads(tmp_path):
    x, out = images(10), tmp_path / "x.npz"
    array_files.write_npz(str(out), "x", in_batches(x, 3), x.shape, "float32", seed=np.uint64(7))
    with np.load(out) as archive:
        assert np.array_equal(archive["x"], x)
        assert archive["seed"] == 7
    assert zipfile.ZipFile(out).testzip() is None


def test_gif_has_a_frame_a_row_and_repeats(tmp_path):
    x, out = images(9), tmp_path / "walk.gif"
    write_gif(str(out), in_batches(x, 4), UNIT, scale=1)
    with Image.open(out) as gif:
        frames = [np.asarray(frame.convert("L")) for frame in ImageSequence.Iterator(gif)]
        assert gif.info["loop"] == 0
    assert np.array_equal(frames, pack(x)[..., 0])


def test_a_failure_leaves_what_was_there(tmp_path):
    out = tmp_path / "x.npy"
    out.write_bytes(b"precious")

    def breaks():
        yield images(2)
        raise RuntimeError("out of luck")

    with pytest.raises(RuntimeError, match="luck"):
        array_files.write_npy(str(out), breaks(), (4, 1, 5, 3), "float32")
    assert out.read_bytes() == b"precious"
    assert os.listdir(tmp_path) == ["x.npy"]


def test_a_link_is_followed(tmp_path):
    (tmp_path / "real.npy").write_bytes(b"old")
    (tmp_path / "link.npy").symlink_to("real.npy")
    array_files.write_npy(str(tmp_path / "link.npy"), [images(2)], (2, 1, 5, 3), "float32")
    assert (tmp_path / "link.npy").is_symlink()
    assert np.array_equal(np.load(tmp_path / "real.npy"), images(2))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such files")
def test_a_pipe_is_written_not_replaced(tmp_path):
    pipe, got = tmp_path / "pipe.npy", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    array_files.write_npy(str(pipe), [images(2)], (2, 1, 5, 3), "float32")
    reader.join()
    assert np.array_equal(np.load(io.BytesIO(got[0])), images(2))
    assert pipe.is_fifo()


@pytest.mark.parametrize("name", ["missing/x.npy", "file/x.npy"])
def test_a_place_that_cannot_be_written_costs_no_work(tmp_path, name):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"cannot write .*x\.npy.*name a place"):
        array_files.write_npy(str(tmp_path / name), never(), (1,), "float32")
    with pytest.raises(InputError, match="cannot write"):
        folders.write_folder(str(tmp_path / "file" / "f"), never(), [], UNIT)


def test_an_array_file_is_streamed(tmp_path):
    """Many times the bytes of a batch pass through, and memory does not grow by as much."""
    import tracemalloc

    batch = np.zeros((1000, 256), np.float32)  # 1 MB
    tracemalloc.start()
    array_files.write_npy(
        str(tmp_path / "x.npy"), (batch for _ in range(50)), (50_000, 256), "float32"
    )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert Path(tmp_path / "x.npy").stat().st_size > 50_000_000
    assert peak < 1_000_000

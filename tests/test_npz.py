"""The .npz files of a bundle keep arrays with their types, and hold nothing else."""

import io
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from edgevae import npz
from edgevae.errors import BundleError

PATH = Path("a.npz")


def archive(compression: int = zipfile.ZIP_STORED, **members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as zipped:
        for name, content in members.items():
            zipped.writestr(f"{name}.npy", content)
    return file.getvalue()


def member(header: str, data: bytes = bytes(8)) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + data


def test_arrays_come_back_with_their_types():
    written = {"mean": np.float64([1 / 3]), "count": [1, 2], "turned": np.eye(3, 2)[::-1].T}
    arrays = npz.load(npz.dump(written), PATH)
    assert (arrays["mean"].dtype, arrays["count"].dtype) == (np.float64, np.int64)
    for key, array in arrays.items():
        np.testing.assert_array_equal(array, written[key])
        assert array.flags.writeable


def test_compressed_arrays_are_read():
    file = io.BytesIO()
    np.savez_compressed(file, z=np.arange(1000.0))
    np.testing.assert_array_equal(npz.load(file.getvalue(), PATH)["z"], np.arange(1000.0))


def test_arrays_of_the_prior_and_the_self_check_have_fixed_types():
    arrays = npz.load_typed(npz.dump_typed({"z": [[1.0]], "y": [2]}), PATH, ["z", "y"])
    assert (arrays["z"].dtype, arrays["y"].dtype) == (np.float32, np.int64)
    with pytest.raises(BundleError, match="z must be float32, got float64"):
        npz.load_typed(npz.dump({"z": [[1.0]]}), PATH, ["z"])


@pytest.mark.parametrize("content", [b"", b"PK", npz.dump({"mean": [1.0]})])
def test_a_file_without_the_arrays_is_refused(content):
    with pytest.raises(BundleError, match=r"a\.npz: expected arrays z, got"):
        npz.load(content, PATH, ["z"])


@pytest.mark.parametrize("value", [np.nan, np.inf, "text"])
def test_numbers_are_finite(value):
    with pytest.raises(BundleError, match="z must be finite numbers"):
        npz.load(npz.dump({"z": [value]}), PATH)


def test_numbers_beyond_float32_are_refused():
    with pytest.raises(BundleError, match="z must be numbers that float32 holds"):
        npz.as_float32({"z": np.array([1e300])}, PATH)


def test_a_shape_is_checked(tmp_path):
    npz.check_shape(tmp_path, "z", np.zeros((2, 3)), (2, 3))
    with pytest.raises(BundleError, match=r"z must have shape \(2, 4\), got \(2, 3\)"):
        npz.check_shape(tmp_path, "z", np.zeros((2, 3)), (2, 4))


def test_a_zip_bomb_is_refused_before_it_is_expanded():
    bomb = archive(zipfile.ZIP_DEFLATED, z=bytes(200 << 20))
    tracemalloc.start()
    with pytest.raises(BundleError, match="members that expand it by more than"):
        npz.load(bomb, PATH)
    assert tracemalloc.get_traced_memory()[1] < 16 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_methods_of_compression_are_refused(compression):
    with pytest.raises(BundleError, match="another method than deflate"):
        npz.load(archive(compression, z=bytes(100)), PATH)


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,), }", "8 bytes for"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }", "8 bytes for an array"),
        ("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", "no array of numbers"),
        ("{'descr': '|O8', 'fortran_order': False, 'shape': (1,), }", "a\\.npz"),
        ("{'descr': '<f9', 'fortran_order': False, 'shape': (1,), }", "a\\.npz"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", "no array of numbers"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)" + "(" * 5000, "no array of"),
        ("__import__('os').abort()", "no array of numbers"),
    ],
)
def test_a_header_is_not_trusted(header, says):
    with pytest.raises(BundleError, match=says):
        npz.load(archive(z=member(header)), PATH)


def test_every_changed_byte_of_a_compressed_file_gives_arrays_or_a_bundle_error():
    file = io.BytesIO()
    np.savez_compressed(file, z=np.arange(20.0), mean=np.ones((2, 3), np.float32))
    whole = file.getvalue()
    for at in range(len(whole)):
        changed = bytearray(whole)
        changed[at] ^= 0x55
        try:
            npz.load(bytes(changed), PATH)
        except BundleError:
            continue

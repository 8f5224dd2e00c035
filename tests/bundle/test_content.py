"""The files of a bundle are regular files of the listed size, or are refused."""

import os
import socket

import pytest

from edgevae import bundle
from edgevae.bundle import content
from edgevae.errors import BundleError

posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX files")
FILES = ["manifest.json", "decoder.onnx", "prior.npz"]


@posix
@pytest.mark.parametrize("name", FILES)
def test_links_are_refused(copy, tmp_path, name):
    os.replace(copy / name, tmp_path / "elsewhere")
    (copy / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BundleError, match=rf"{name}: expected .* file, got a link; .*cp -rL"):
        bundle.read(copy)


@posix
@pytest.mark.parametrize("name", FILES)
def test_pipes_devices_folders_and_sockets_are_refused_at_once(copy, name, monkeypatch):
    path = copy / name
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(BundleError, match=f"{name}: expected a regular file, got a folder, a pipe"):
        bundle.read(copy)
    path.unlink()
    path.mkdir()
    with pytest.raises(BundleError, match=f"{name}: expected a regular file"):
        bundle.read(copy)
    path.rmdir()
    monkeypatch.chdir(copy)  # the address of a socket is short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(name)
        with pytest.raises(BundleError, match=name):
            bundle.read(copy)


@posix
def test_a_link_to_a_device_is_refused(copy):
    (copy / "decoder.onnx").unlink()
    (copy / "decoder.onnx").symlink_to("/dev/zero")
    with pytest.raises(BundleError, match="got a link"):
        bundle.read(copy)


def test_a_manifest_has_a_largest_size(copy):
    with (copy / "manifest.json").open("ab") as file:
        file.truncate(content._MOST_MANIFEST_BYTES + 1)
    with pytest.raises(BundleError, match=r"manifest\.json: expected at most 16777216 bytes"):
        bundle.read(copy)


@pytest.mark.parametrize("name", ["prior.npz", "selfcheck.npz"])
def test_arrays_are_checked_again_when_they_are_read(copy, name):
    opened = bundle.read(copy)
    whole = (copy / name).read_bytes()
    (copy / name).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(BundleError, match=rf"{name}: expected sha256 .* altered"):
        opened.mixture() if name == "prior.npz" else opened.selfcheck()

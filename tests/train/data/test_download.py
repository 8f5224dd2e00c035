"""Downloads of public data sets."""

import pytest

from edgevae.errors import InputError
from train.data.download import fetch

pooch = pytest.importorskip("pooch")


def test_a_file_is_kept_under_the_last_part_of_its_address(monkeypatch):
    monkeypatch.setattr(pooch, "retrieve", lambda address, **options: f"cache/{options['fname']}")
    assert fetch("https://host/folder/a.gz", "md5:0", "give --data").as_posix() == "cache/a.gz"


def test_a_failed_download_says_what_to_do_instead(monkeypatch):
    def fails(address, **options):
        raise OSError("no route to host")

    monkeypatch.setattr(pooch, "retrieve", fails)
    with pytest.raises(InputError, match=r"cannot download https://host/a\.gz: no route .*; give"):
        fetch("https://host/a.gz", "md5:0", "give --data")

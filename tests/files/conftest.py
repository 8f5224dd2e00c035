"""Bundles whose inputs are read, and an empty current folder."""

import pytest
from sample_files import GREY, NAMED, SIGNAL, VECTOR


@pytest.fixture(scope="session")
def grey(tmp_path_factory):
    """A bundle of grey images of 8 x 8 pixels."""
    return GREY.write(tmp_path_factory.mktemp("grey") / "b")


@pytest.fixture(scope="session")
def vector(tmp_path_factory):
    """A bundle of three features that have names."""
    return VECTOR.write(tmp_path_factory.mktemp("vector") / "b", features=NAMED)


@pytest.fixture(scope="session")
def signal(tmp_path_factory):
    """A bundle of windows of four steps of two features, three steps apart."""
    return SIGNAL.write(tmp_path_factory.mktemp("signal") / "b", stride=3)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path

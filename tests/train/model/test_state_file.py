"""Files of tensors."""

import pytest
import torch

from train.model import state_file


def test_a_checkpoint_is_complete_or_absent(tmp_path, monkeypatch):
    path = tmp_path / "last.pt"
    state_file.write(path, {"step": 1})

    def fails(content, file):
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", fails)
    with pytest.raises(OSError, match="disk full"):
        state_file.write(path, {"step": 2})
    assert state_file.read(path) == {"step": 1}


def test_a_file_that_holds_no_tensors_is_refused(tmp_path):
    (tmp_path / "a.pt").write_text("not tensors")
    with pytest.raises(ValueError, match=r"expected a checkpoint .*, got .*a\.pt") as caught:
        state_file.read(tmp_path / "a.pt")
    assert "weights_only" not in str(caught.value)  # PyTorch advises to run code from the file

"""Steps of a signal become windows, as far apart as in training."""

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from sample_files import SIGNAL, items

from edgevae import files
from edgevae.errors import InputError


def test_steps_become_windows_with_the_stride_of_the_bundle(signal, tmp_path):
    series = np.arange(24.0).reshape(12, 2)
    path = tmp_path / "run.csv"
    np.savetxt(path, series, delimiter=",")
    (batch,) = files.stream([str(path)], signal, print)
    assert batch.ids == ["0-3", "3-6", "6-9"]
    assert batch.x.dtype == np.float32
    for window, first in zip(batch.x, (0, 3, 6), strict=True):
        np.testing.assert_array_equal(window, series[first : first + 4].T)
    (batch,) = files.stream([str(path)], signal, print, disjoint=True)
    assert batch.ids == ["0-3", "4-7", "8-11"]


def test_windows_do_not_overlap_where_no_stride_is_known(tmp_path):
    bundle = SIGNAL.write(tmp_path / "b")
    path = tmp_path / "run.jsonl"
    path.write_text("".join(json.dumps([i, -i]) + "\n" for i in range(11)))
    (batch,) = files.stream([str(path)], bundle, print)
    assert batch.ids == ["0-3", "4-7"]


def test_a_window_may_come_as_one_row(signal, tmp_path):
    x = np.arange(8.0).reshape(2, 4)
    path = tmp_path / "windows.jsonl"
    path.write_text(json.dumps({"x": x.tolist(), "id": 7}) + "\n")
    (batch,) = files.stream([str(path)], signal, print)
    assert batch.ids == [7]
    np.testing.assert_array_equal(batch.x, x[None])


def test_windows_of_standard_input_come_with_their_last_step(signal, monkeypatch):
    """Nothing is read beyond the line that fills a window."""

    class Pipe(io.BytesIO):
        read = None  # all at once

    pipe = Pipe(b"".join(f"{i},{-i}\n".encode() for i in range(12)))
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=pipe))
    for last, batch in zip((4, 7, 10), files.stream(["-"], signal, print), strict=False):
        np.testing.assert_array_equal(
            batch.x, [[np.arange(last - 4, last), -np.arange(last - 4, last)]]
        )
        assert pipe.tell() == sum(len(f"{i},{-i}\n") for i in range(last))


def test_a_stride_that_leaves_steps_out_is_noted(tmp_path, here):
    sparse = SIGNAL.write(tmp_path / "b", stride=6)
    np.savetxt("x.csv", np.arange(40.0).reshape(20, 2), delimiter=",")
    notes = []
    assert len(items(files.read(["x.csv"], sparse, notify=notes.append))) == 3
    note, count = notes
    assert "windows of 4 steps begin 6 steps apart: the 2 steps between them are left out" in note
    assert "x.csv, line 20: 8 of 20 steps are in no window" in count
    (batch,) = files.stream(["x.csv"], sparse, notes.append, disjoint=True)
    assert len(batch.x) == 5
    assert len(notes) == 2


def test_steps_after_the_last_window_are_counted(signal, here):
    np.savetxt("x.csv", np.arange(24.0).reshape(12, 2), delimiter=",")
    notes = []
    assert len(items(files.read(["x.csv"], signal, notify=notes.append))) == 3
    assert notes == [
        "x.csv, line 12: 2 of 12 steps are in no window and are left out, as windows have 4 steps "
        "and begin 3 apart"
    ]
    rows = [f"{step},{step},0" for step in (0, 1, 2, 0, 1, 2, 3)]  # the first run is too short
    Path("runs.csv").write_text("\n".join(["step,c,d", *rows]))
    assert len(items(files.read(["runs.csv"], signal, notify=notes.append))) == 1
    assert "3 of 7 steps are in no window" in notes[-1]


def test_a_recording_shorter_than_a_window_is_refused_unless_others_are_longer(signal, here):
    np.savetxt("short.csv", np.zeros((3, 2)), delimiter=",")
    np.savetxt("long.csv", np.zeros((4, 2)), delimiter=",")
    notes = []
    with pytest.raises(InputError, match=r"short\.csv: expected at least 4 steps, .* got 3"):
        files.read(["short.csv"], signal, notify=notes.append)
    assert len(items(files.read(["short.csv", "long.csv"], signal, notify=notes.append))) == 1
    assert all("short.csv, line 3: 3 of 3 steps are in no window" in note for note in notes)


def test_a_step_of_number_0_begins_a_window(signal, here):
    rows = [f"{name},{step},{step},{-step}" for name in "ab" for step in range(4)]
    Path("x.csv").write_text("\n".join(["id,step,c,d", *rows]))
    inputs = files.read(["x.csv"], signal)
    assert inputs.ids == ["a", "b"]
    np.testing.assert_array_equal(items(inputs), [[np.arange(4), -np.arange(4)]] * 2)

"""Tune files: for one bundle, machine and number of threads; a damaged one counts as none."""

import json
from dataclasses import replace

import pytest

import edgevae
from edgevae import bundle
from edgevae.engine import Measured, TunedPlan, TunedSetting, Tuning, tuned
from edgevae.errors import InputError

DATE = "2026-01-02T03:04:05+00:00"
PLAN = TunedPlan("any", 16, 3, 2, 1, 4, 1000.0)


def tuning(*settings: TunedSetting, compared: tuple[str, ...] = ()) -> Tuning:
    """Return the result of a run that measured these settings."""
    measured = tuple(
        Measured("decoder", each.provider, each.precision, "any", 1000.0, "1.00 of the fastest")
        for each in settings
    )
    return Tuning(DATE, None, compared, settings, measured)


def setting(provider: str = "cpu", precision: str = "float32", rate: float = 1000.0):
    return TunedSetting(provider, precision, None, {"decoder": PLAN._replace(rows_per_second=rate)})


@pytest.fixture
def grey(tiny_paths, caches):
    return bundle.read(tiny_paths["grey"])


def test_a_tuning_is_read_as_it_was_written(grey):
    written = tuning(setting(), setting("openvino", "bf16"), compared=("cpu", "openvino"))
    written = written._replace(min_psnr=40.0)
    path = tuned.write(grey, 2, written)
    assert tuned.read(grey, 2) == written
    content = json.loads(path.read_bytes())
    assert (content["schema"], content["bundle"], content["date"]) == (2, "tiny-image", DATE)
    assert [*path.parent.iterdir()] == [path]


def test_a_tuning_holds_for_one_bundle_and_number_of_threads(grey):
    tuned.write(grey, 2, tuning(setting()))
    assert tuned.read(grey, 3) == tuned.UNTUNED
    other = replace(grey, files={**grey.files, "decoder.onnx": bundle.File("0" * 64, 1)})
    assert tuned.read(other, 2) == tuned.UNTUNED
    assert tuned.read(replace(grey, name="other"), 2) == tuning(setting())


@pytest.mark.parametrize("changed", ["cpu_name", "architecture"])
def test_a_file_of_another_board_counts_as_none(grey, monkeypatch, changed):
    path = tuned.write(grey, 2, tuning(setting()))
    monkeypatch.setattr(tuned, changed, lambda: "another")
    assert tuned.read(grey, 2) == tuned.UNTUNED
    copied = path.with_name(tuned._file_name(2))  # its name is right, and its content is not
    path.rename(copied)
    assert tuned.read(grey, 2) == tuned.UNTUNED


def test_a_file_of_other_versions_is_not_used_and_said_to_be_there(grey, monkeypatch):
    assert tuned.other_versions(grey, 2) == {}
    path = tuned.write(grey, 2, tuning(setting()))
    assert tuned.other_versions(grey, 2) == {}
    versions = json.loads(path.read_bytes())["versions"]
    assert versions["edgevae"] == edgevae.__version__
    monkeypatch.setattr(tuned, "_versions", lambda: {**versions, "onnxruntime": "99.0"})
    assert tuned.read(grey, 2) == tuned.UNTUNED
    assert tuned.other_versions(grey, 2) == {"onnxruntime": versions["onnxruntime"]}
    tuned.write(grey, 2, tuning(setting(rate=7.0)))
    assert tuned.read(grey, 2).settings == (setting(rate=7.0),)


def test_a_run_replaces_what_it_tried_and_keeps_the_rest(grey):
    tuned.write(grey, 2, tuning(setting(), setting("openvino"), compared=("cpu", "openvino")))
    tuned.write(grey, 2, tuning(setting(rate=7.0), setting(precision="int8")))
    found = tuned.read(grey, 2)
    assert found.compared == ("cpu", "openvino")
    assert found.settings == (setting("openvino"), setting(rate=7.0))
    refused = Measured("all", "openvino", "float32", "any", 0.0, "refused: it is gone")
    tuned.write(grey, 2, tuning()._replace(measured=(refused,)))
    assert tuned.read(grey, 2).settings == (setting(rate=7.0),)


def test_settings_that_cannot_be_are_left_out(grey):
    impossible = [setting(precision="int8"), setting(precision="bf16"), setting(precision="fp4")]
    tuned.write(grey, 2, tuning(*impossible, setting("openvino", "bf16")))
    assert tuned.read(grey, 2).settings == (setting("openvino", "bf16"),)


GOOD = PLAN._asdict()
DAMAGED_FILES = [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"[]", b" " * (1 << 21)]
DAMAGED_PLANS = [
    None,
    [GOOD],
    {"decoder": None},
    {"decoder": {"chunk": 16}},
    *(
        {"decoder": {**GOOD, key: value}}
        for key, value in [
            ("target", 7),
            ("single_call_rows", -1),
            ("chunk", 0),
            ("chunk", 1e9),
            ("chunk", True),
            ("chunk", "16"),
            ("chunk", 1 << 60),
            ("workers", 0),
            ("workers", 3),
            ("threads", 3),
            ("worker_rows", 0),
            ("rows_per_second", "fast"),
            ("rows_per_second", float("inf")),
        ]
    ),
]


@pytest.mark.parametrize("content", DAMAGED_FILES + DAMAGED_PLANS, ids=lambda c: str(c)[:60])
def test_a_damaged_file_counts_as_none(grey, content):
    path = tuned.write(grey, 2, tuning(setting()))
    if not isinstance(content, bytes):
        whole = json.loads(path.read_bytes())
        whole["settings"][0]["plans"] = content
        content = json.dumps(whole).encode()
    path.write_bytes(content)
    assert tuned.read(grey, 2) == tuned.UNTUNED


@pytest.mark.parametrize(
    "changes",
    [{"schema": 1}, {"versions": None}, {"date": 7}, {"settings": {}}, {"measured": [1]},
     {"compared": [1]}, {"compared": "cpu"}, {"min_psnr": "good"}, {"machine": None}],
)  # fmt: skip
def test_a_file_of_another_form_counts_as_none(grey, changes):
    path = tuned.write(grey, 2, tuning(setting()))
    path.write_text(json.dumps({**json.loads(path.read_bytes()), **changes}))
    assert tuned.read(grey, 2) == tuned.UNTUNED


def test_loading_and_running_write_nothing(tiny_paths, caches):
    edgevae.load(tiny_paths["grey"], "cpu").generate(100, seed=1)
    assert not caches.exists()


def test_without_a_home_there_is_no_cache(grey, monkeypatch):
    monkeypatch.setattr(tuned, "_caches", lambda: None)
    assert tuned.read(grey, 2) == tuned.UNTUNED
    with pytest.raises(InputError, match="set XDG_CACHE_HOME"):
        tuned.write(grey, 2, tuning())


@pytest.mark.parametrize(
    ("platform", "environment", "folder"),
    [
        ("linux", {}, "home/.cache"),
        ("linux", {"XDG_CACHE_HOME": "/x"}, "/x"),
        ("linux", {"XDG_CACHE_HOME": "relative"}, "home/.cache"),  # which its specification ignores
        ("darwin", {}, "home/Library/Caches"),
        ("win32", {}, "home/AppData/Local"),
    ],
)
def test_the_folder_is_the_platforms(monkeypatch, tmp_path, platform, environment, folder):
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(tuned.Path, "home", lambda: tmp_path / "home")
    monkeypatch.setattr(tuned.sys, "platform", platform)
    assert tuned._caches() == tmp_path / folder

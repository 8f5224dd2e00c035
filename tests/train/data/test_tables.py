"""Tables to vectors and signals: reading, splitting, scaling, missing values."""

import numpy as np
import pytest
import torch

import edgevae
from train.__main__ import main
from train.data import scaling, tables, windows
from train.data.dataset import Data
from train.data.of_bundle import training_data
from train.export.scores import independent_step
from train.model.checkpoint import Checkpoint
from train.model.conv1d import default_widths


def write(path, names, rows):
    lines = [names, *[[str(value) for value in row] for row in rows]]
    path.write_text("\n".join(",".join(line) for line in lines) + "\n")
    return path


def series(steps=900, seed=0):
    """A sine and its cosine, in units far apart."""
    rng, t = np.random.default_rng(seed), np.arange(steps) / 5
    waves = np.stack([np.sin(t), 1000 + 50 * np.cos(t)], 1)
    return waves + rng.normal(0, [0.05, 2], (steps, 2))


def test_columns_have_the_names_of_the_header(tmp_path):
    names, runs = tables.read_features(write(tmp_path / "a.csv", ["a", "b"], [[1, 2.5], [3, "NA"]]))
    assert names == ("a", "b")
    np.testing.assert_array_equal(runs, [[[1, 2.5], [3, np.nan]]])


def test_a_table_without_a_header_and_an_array_number_their_columns(tmp_path):
    write(tmp_path / "a.csv", ["4", "5"], [[1, 2]])
    np.save(tmp_path / "a.npy", np.array([[4.0, 5.0], [1.0, 2.0]]))
    for file in ("a.csv", "a.npy"):
        names, runs = tables.read_features(tmp_path / file)
        assert names == ("x0", "x1")
        np.testing.assert_array_equal(runs, [[[4, 5], [1, 2]]])


def test_parquet_is_read(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = pyarrow.table({"a": [1, None, 3], "b": [0.5, 1.5, 2.5]})
    parquet.write_table(table, tmp_path / "a.parquet")
    names, (run,) = tables.read_features(tmp_path / "a.parquet")
    assert names == ("a", "b")
    np.testing.assert_array_equal(run, [[1, 0.5], [np.nan, 1.5], [3, 2.5]])


def test_files_and_a_column_s_changes_are_runs(tmp_path):
    rows = [[1, "p"], [2, "p"], [3, "q"], [4, "p"]]
    for name in ("1.csv", "2.csv"):
        write(tmp_path / name, ["a", "part"], rows)
    names, runs = tables.read_features(tmp_path, runs_by="part")
    assert names == ("a",)
    assert [run.ravel().tolist() for run in runs] == 2 * [[1, 2], [3], [4]]


@pytest.mark.parametrize(
    ("names", "row", "options", "message"),
    [
        (["a", "when"], [1, "monday"], {}, "'when' of .*got 'monday' in row 1: .*--ignore when"),
        (["a", "b"], ["", "nan"], {}, "1 in column 'a', 1 in column 'b': .*--impute median"),
        (["a", "b"], ["", 2], {"impute": True}, "values in column 'a' of .*got none: --ignore it"),
        (["a", "b"], [1, "inf"], {}, "got infinity: 1 in column 'b'"),
        (["a", "b"], [1, 2, 3], {}, r"row 2: expected 2 values, got 3"),
        (["a", "b"], [1, 2], {"ignore": ["c"]}, "expected a column 'c' in .*got a, b"),
        (["a", "b"], [1, 2], {}, "at least 10 items in .*got 1"),
    ],
)
def test_errors_in_a_table_are_explained(tmp_path, names, row, options, message):
    path = write(tmp_path / "a.csv", names, [row])
    with pytest.raises(ValueError, match=message):
        tables.load(path, "vector", **options)


def test_missing_values_become_the_median_of_the_training_part(tmp_path):
    rows = [[i, i * i] for i in range(40)]
    rows[3][1] = rows[7][1] = ""
    data = tables.load(write(tmp_path / "a.csv", ["a", "b"], rows), "vector", impute=True)
    known = [int(a) ** 2 for a, _ in data.train.tolist() if int(a) not in (3, 7)]
    assert data.impute[1] == np.median(known)
    for a, b in [*data.train.tolist(), *data.test.tolist()]:
        assert b == (data.impute[1] if int(a) in (3, 7) else a * a)


def test_held_out_windows_share_no_step_with_training_and_keep_their_distance():
    run = np.arange(1000.0)[:, None]
    train, test = windows.split([run], window=10, stride=3, seed=1)
    train, test = (np.unique(np.concatenate(part)) for part in (train, test))
    assert len(test) >= 90
    assert np.abs(train[:, None] - test).min() > 10
    assert len(train) + len(test) >= 970


def test_a_long_run_holds_out_several_blocks_and_another_seed_others():
    held_out = [windows.blocks(10_000, 20, np.random.default_rng(seed))[1] for seed in (0, 0, 1)]
    assert len(held_out[0]) == 5
    assert held_out[0] == held_out[1] != held_out[2]


def test_complete_runs_are_held_out_and_no_window_crosses_their_ends():
    runs = [np.full((30 + i, 1), float(i)) for i in range(20)] + [np.full((5, 1), 99.0)]
    train, test = windows.split(runs, window=10, stride=4, seed=0)
    everything = [*train, *test]
    assert len(test) == 2
    assert all(np.ptp(part, axis=2).max() == 0 for part in everything)
    assert sorted(part[0, 0, 0] for part in everything) == list(range(20))


def test_runs_that_are_too_short_are_refused():
    with pytest.raises(ValueError, match="at least 128 steps, one window, the longest has 100"):
        windows.split([np.zeros((100, 1))], 128, 16, 0)
    with pytest.raises(ValueError, match="a gap of 64 steps, got 100 steps"):
        windows.split([np.zeros((100, 1))], 64, 16, 0)


def test_outliers_do_not_spoil_the_scale():
    torch.manual_seed(0)
    items = torch.randn(1000, 3) * torch.tensor([2.0, 5.0, 0.0]) + 7
    items[:20, 0] = 1e9
    center, scale = scaling.robust(items)
    torch.testing.assert_close(center, torch.full((3,), 7.0), atol=0.4, rtol=0)
    torch.testing.assert_close(scale, torch.tensor([2.0, 5.0, 1.0]), atol=0, rtol=0.1)
    assert scaling.bounded(items, center, scale)[0, 0] == center[0] + 10 * scale[0]


def test_a_feature_that_seldom_changes_is_scaled_by_its_deviation():
    items = torch.zeros(100, 1)
    items[:10] = 1
    _, scale = scaling.robust(items)
    assert scale[0] == pytest.approx(0.3)


def test_a_signal_s_steps_share_one_scale():
    items = torch.randn(50, 2, 8) * torch.tensor([[3.0], [0.1]])
    _, scale = scaling.robust(items)
    torch.testing.assert_close(scale, torch.tensor([3.0, 0.1]), atol=0, rtol=0.2)


def test_default_widths_of_a_window():
    assert default_widths(128) == [32, 64, 96, 128, 160]
    assert default_widths(7) == [32]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A signal's bundle with activations, by the command line, from a table with gaps."""
    folder = tmp_path_factory.mktemp("signal")
    rows = [[f"{a:.4f}", f"{b:.4f}"] for a, b in series()]
    rows[17][0] = ""
    rows[400][1] = "1e30"
    table = write(folder / "normals.csv", ["wave", "load"], rows)
    options = "--kind signal --window 16 --stride 4 --impute median --latent-dim 3 --widths 16 16"
    options += " --epochs 15 --batch 16 --components 2 --noise 0 --learning-rate 0.01"
    main(["--data", str(table), "--out", str(folder / "run"), *options.split()])
    checkpointed = str(folder / "run/last.pt")
    out = ["--out", str(folder / "b"), "--activations", "--data", str(table)]
    main(["export", checkpointed, *out])
    return table, Checkpoint.from_file(folder / "run/last.pt"), edgevae.load(folder / "b", "cpu")


def test_a_signal_s_bundle_tells_what_training_knew(trained):
    _, _, vae = trained
    assert (vae.bundle.kind, vae.bundle.x_shape, vae.bundle.stride) == ("signal", (2, 16), 4)
    told = vae.bundle.features
    assert told.names == ("wave", "load")
    assert told.impute[1] == pytest.approx(1000, abs=20)
    assert told.scale[1] == pytest.approx(50, rel=0.3)
    assert vae.bundle.likelihood["sigma"][16:] == [vae.bundle.likelihood["sigma"][16]] * 16


def test_a_signal_s_bundle_explains_the_signal_in_its_own_units(trained):
    _, _, vae = trained
    x = series(160, seed=1).reshape(10, 16, 2).transpose(0, 2, 1).astype(np.float32)
    left = (x - vae.reconstruct(x)).var(axis=(0, 2)) / x.var(axis=(0, 2))
    assert (left < 0.6).all()
    gap = x.copy()
    gap[0, 1, 3] = np.nan
    assert np.isfinite(vae.reconstruct(gap)).all()


def test_activations_are_what_pytorch_s_encoder_computes(trained):
    _, checkpoint, vae = trained
    x = checkpoint.samples
    expected = checkpoint.averaged_model().activations(x).detach().numpy()
    np.testing.assert_allclose(vae.activations(x.numpy()), expected, atol=1e-4)
    assert expected.shape[1] == 16 + 16 + 16 + 3  # each convolution's channels, then mu
    np.testing.assert_allclose(expected[:, -3:], vae.encode(x.numpy()).mu, atol=1e-4)


def test_a_bundle_exported_with_data_can_score(trained):
    """A wave at sixteen times its speed, after training on a table with a value of 1e30."""
    _, checkpoint, vae = trained
    normal = checkpoint.samples.numpy()
    strange = normal.copy()
    strange[:, 0] = np.tile([1.0, -1.0], 8)
    for method in ("recon", "default", "nap"):
        assert vae.score(strange, method).values.min() > vae.score(normal, method).values.max()


def test_windows_that_calibrate_do_not_overlap():
    items = torch.zeros(4, 2, 16)
    assert independent_step(Data("a", "signal", items, items, "MIT", stride=3)) == 6
    assert independent_step(Data("a", "vector", items[..., 0], items[..., 0], "MIT")) == 1


def test_a_table_s_bundle_is_evaluated_on_the_items_it_held_out(tmp_path):
    rows = [[i % 7, "left", i] for i in range(40)]
    table = write(tmp_path / "a.csv", ["a", "side", "b"], rows)
    options = "--ignore side --latent-dim 2 --widths 4 --epochs 1 --components 1"
    main(["--data", str(table), "--out", str(tmp_path / "run"), *options.split()])
    main(["export", str(tmp_path / "run/last.pt"), "--out", str(tmp_path / "b")])
    bundle = edgevae.load(tmp_path / "b").bundle
    assert bundle.features.names == ("a", "b")
    again = training_data(bundle, table)
    torch.testing.assert_close(again.test, tables.load(table, "vector", ignore=["side"]).test)

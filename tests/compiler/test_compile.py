import json
import sys

import numpy as np
import onnx
import onnx_ir
import onnxruntime
import pytest
import torch
from chains import chain, weights
from exporters import export
from torch import nn

import edgevae
from edgevae import cli, compiler, engine
from edgevae.compiler import entries
from edgevae.compiler.rewrites import Row
from edgevae.errors import BundleError, CheckError, InputError

# The function of the package hides the module of its name.
compile_module = sys.modules["edgevae.compiler.compile"]

UNMEASURED = compiler.Options(measure=False)


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 4, 3, 2, 1), nn.ReLU(), nn.Flatten())
        self.mu, self.logvar = nn.Linear(64, 3), nn.Linear(64, 3)

    def forward(self, x):
        h = self.body(x)
        return self.mu(h), self.logvar(h)


def decoder(last: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(3, 64),
        nn.Unflatten(1, (4, 4, 4)),
        nn.ConvTranspose2d(4, 1, 4, 2, 1),
        last,
    ).eval()


@pytest.fixture(scope="module")
def graphs(tmp_path_factory):
    """decoder.onnx, whose batch was traced as 1, and encoder.onnx."""
    folder = tmp_path_factory.mktemp("graphs")
    torch.manual_seed(1)
    z, x = torch.randn(1, 3), torch.rand(2, 1, 8, 8)
    data = export(decoder(nn.Sigmoid()), z, opset=17, fixed=True)
    (folder / "decoder.onnx").write_bytes(data)
    (folder / "encoder.onnx").write_bytes(export(Encoder(), x, opset=17))
    return folder


def test_a_decoder_alone_makes_a_bundle_that_only_decodes(graphs, tmp_path):
    compiled = compiler.compile(graphs / "decoder.onnx", out=tmp_path / "b", options=UNMEASURED)
    bundle = compiled.bundle
    assert (bundle.name, bundle.kind, bundle.x_shape, bundle.x_range) == (
        "b",
        "image",
        (1, 8, 8),
        (0.0, 1.0),
    )
    assert not bundle.encodes
    vae = edgevae.load(bundle.path)
    z = vae.sample(9, seed=1)
    with torch.inference_mode():
        expected = decoder(nn.Sigmoid())(torch.from_numpy(z)).numpy()
    np.testing.assert_allclose(vae.decode(z), expected, atol=1e-5)
    notes = "\n".join(compiled.notes)
    for inferred in ("batch was traced as 1", "kind: image", "range: 0 to 1", "likelihood: not"):
        assert inferred in notes


def test_a_bundle_holds_both_graphs_and_a_prior(graphs, tmp_path):
    prior = tmp_path / "prior.npz"
    means = np.float32([[1, 2, 3], [-1, -2, -3]])
    np.savez(prior, weights=np.float32([0.5, 0.5]), means=means, logvars=0 * means)
    compiled = compiler.compile(
        graphs / "decoder.onnx",
        graphs / "encoder.onnx",
        out=tmp_path / "b",
        description=compiler.Description(likelihood={"name": "bernoulli"}, licence="MIT"),
        prior=prior,
        options=UNMEASURED,
    )
    bundle = compiled.bundle
    assert (bundle.components, bundle.licence) == (2, "MIT")
    assert bundle.likelihood == {"name": "bernoulli"}
    np.testing.assert_array_equal(bundle.mixture().means, means)
    assert cli.main(["verify", str(bundle.path)]) == 0
    check = bundle.selfcheck()
    np.testing.assert_array_equal(check["x"], check["x_hat"])
    assert set(compiled.passes) == {"decoder", "encoder"}


def test_a_bundle_carries_no_trace_of_the_compiling_machine(graphs, tmp_path):
    bundle = compiler.compile(
        graphs / "decoder.onnx", out=tmp_path / "b", options=UNMEASURED
    ).bundle
    for data in (path.read_bytes() for path in bundle.path.iterdir()):
        assert str(graphs).encode() not in data
        assert b"test_build" not in data
    graph = onnx.load(bundle.path / bundle.graph("decoder").file).graph
    names = {name for node in graph.node for name in (node.name, *node.output)}
    assert not any("/" in name for name in names)
    assert not any(node.doc_string or node.metadata_props for node in graph.node)


@pytest.mark.parametrize(
    ("last", "x_range"),
    [
        (nn.Tanh(), (-1, 1)),
        (nn.Hardtanh(-0.5, 0.5), (-0.5, 0.5)),
        (nn.Sequential(nn.Tanh(), nn.Flatten(), nn.Unflatten(1, (1, 8, 8))), (-1, 1)),
    ],
)
def test_the_range_of_pixels_is_that_of_the_last_operators(last, x_range, tmp_path):
    data = export(decoder(last), torch.randn(2, 3), opset=17)
    compiled = compiler.compile(data, out=tmp_path / "b", options=UNMEASURED)
    assert compiled.bundle.x_range == x_range


class Shifted(nn.Module):
    def forward(self, x):
        return 255 * (torch.tanh(x) + 1) / 2


def test_the_range_follows_what_is_done_to_it(tmp_path):
    data = export(decoder(Shifted()), torch.randn(2, 3), opset=17)
    bundle = compiler.compile(data, out=tmp_path / "b", options=UNMEASURED).bundle
    assert bundle.x_range == (0, 255)
    assert bundle.tolerance > 1e-3  # in proportion to the pixels


def test_pixels_without_bounds_need_a_range(tmp_path):
    data = export(decoder(nn.Identity()), torch.randn(2, 3), opset=17)
    with pytest.raises(InputError, match=r"got ConvTranspose; state their range: --range 0 1"):
        compiler.compile(data, out=tmp_path / "b", options=UNMEASURED)
    bundle = compiler.compile(
        data, out=tmp_path / "b", reading=compiler.Reading((-3, 3)), options=UNMEASURED
    ).bundle
    assert bundle.x_range == (-3, 3)


def test_an_encoder_of_another_model_is_refused(graphs, tmp_path):
    data = export(nn.Sequential(nn.Flatten(), nn.Linear(81, 6)), torch.rand(2, 1, 9, 9), opset=17)
    with pytest.raises(InputError, match=r"\(1, 8, 8\), got one of \(1, 9, 9\)"):
        compiler.compile(graphs / "decoder.onnx", data, out=tmp_path / "b", options=UNMEASURED)
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("content", [b"", b"not a graph", b"\x08\x08"])
def test_a_file_without_a_graph_is_refused(content, tmp_path):
    (tmp_path / "d.onnx").write_bytes(content)
    with pytest.raises(InputError, match=r"d\.onnx: expected"):
        compiler.compile(tmp_path / "d.onnx", out=tmp_path / "b")
    with pytest.raises(InputError, match=r"e\.onnx: expected"):
        compiler.compile(tmp_path / "e.onnx", out=tmp_path / "b")


def test_a_prior_of_other_latents_is_refused(graphs, tmp_path):
    np.savez(tmp_path / "p.npz", weights=[1.0], means=np.zeros((1, 4)), logvars=np.zeros((1, 4)))
    with pytest.raises(InputError, match=r"means \(K, 3\) for latents of shape \(3,\), got \(1, 4"):
        compiler.compile(graphs / "decoder.onnx", out=tmp_path / "b", prior=tmp_path / "p.npz")
    np.savez(tmp_path / "p.npz", weights=[1.0])
    with pytest.raises(InputError, match=r"p\.npz: expected an \.npz with weights"):
        compiler.compile(graphs / "decoder.onnx", out=tmp_path / "b", prior=tmp_path / "p.npz")


def test_answers_that_the_graph_does_not_give_are_refused(graphs, tmp_path):
    z = np.zeros((2, 3), np.float32)
    wrong = {"z": z, "x_hat": np.zeros((2, 1, 8, 8), np.float32)}
    with pytest.raises(CheckError, match="expected x_hat of the self-check to 1e-05, got"):
        compiler.compile(
            graphs / "decoder.onnx",
            out=tmp_path / "b",
            extras=compiler.Extras(selfcheck=wrong),
            options=UNMEASURED,
        )
    assert not (tmp_path / "b").exists()


def test_a_graph_that_came_out_wrong_is_not_written(graphs, tmp_path, monkeypatch):
    def broken(model, answers, target, **_):
        model.graph.outputs[0].producer().op_type = "Tanh"
        return model, [Row(target.name, "linear", 1, None, None, "kept", gain=2.0)]

    monkeypatch.setattr(entries, "optimise", broken)
    with pytest.raises(CheckError, match="no bundle was written"):
        compiler.compile(graphs / "decoder.onnx", out=tmp_path / "b", options=UNMEASURED)
    assert not (tmp_path / "b").exists()


def test_a_missing_range_is_asked_for_before_any_pass(graphs, tmp_path, monkeypatch):
    def fail(*_, **__):
        pytest.fail("work was done")

    monkeypatch.setattr(entries, "optimise", fail)
    monkeypatch.setattr(compile_module, "verify", fail)
    data = export(decoder(nn.Identity()), torch.randn(2, 3), opset=17)
    with pytest.raises(InputError, match="state their range: --range 0 1"):
        compiler.compile(data, graphs / "encoder.onnx", out=tmp_path / "b")


@pytest.mark.parametrize("shape", [(9, 1, 8, 9), (1, 1, 8, 8)])
def test_calibration_items_of_another_shape_are_refused_before_any_pass(
    graphs, tmp_path, monkeypatch, shape
):
    monkeypatch.setattr(entries, "optimise", lambda *_, **__: pytest.fail("work was done"))
    options = compiler.Int8(calibration=np.zeros(shape, np.float32))
    with pytest.raises(InputError, match=r"at least 2 items .*\(N, 1, 8, 8\), got \("):
        compiler.compile(
            graphs / "decoder.onnx",
            graphs / "encoder.onnx",
            out=tmp_path / "b",
            options=compiler.Options(int8=options),
        )


def test_a_bundle_is_replaced_only_on_request(graphs, tmp_path):
    def compile_it(**options):
        return compiler.compile(
            graphs / "decoder.onnx",
            out=tmp_path / "b",
            options=UNMEASURED,
            **options,
        ).bundle

    before = (compile_it().path / "manifest.json").read_bytes()
    with pytest.raises(InputError, match=r"b: expected a folder without a bundle.*replace=True"):
        compiler.compile("absent.onnx", out=tmp_path / "b")
    assert (tmp_path / "b" / "manifest.json").read_bytes() == before
    other = compiler.Description(name="other")
    assert compile_it(replace=True, description=other).name == "other"
    (tmp_path / "b" / "mine.txt").write_text("keep")
    with pytest.raises(BundleError, match=r"holds more than a bundle \(mine.txt\)"):
        compiler.compile("absent.onnx", out=tmp_path / "b", replace=True)


def test_the_verb_prints_what_it_inferred_and_the_passes(graphs, tmp_path, capsys):
    line = ["compile", "--decoder", str(graphs / "decoder.onnx"), "--out", str(tmp_path / "b")]
    line += ["--encoder", str(graphs / "encoder.onnx"), "--no-measure"]
    assert cli.main(line) == 0
    printed = capsys.readouterr()
    assert printed.out.split()[:5] == ["graph", "target", "pass", "places", "before"]
    assert "range: 0 to 1, by the decoder's last operators" in printed.err
    assert cli.main([*line, "--json", "--sigma", "0.1", "--name", "mine", "--replace"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert set(report["passes"]) == set(report["gains"]) == {"decoder", "encoder"}
    assert {row["target"] for row in report["passes"]["decoder"]} == set(compiler.TARGETS) - {"any"}
    bundle = edgevae.load(tmp_path / "b").bundle
    assert (bundle.name, bundle.likelihood) == ("mine", {"name": "gaussian", "sigma": 0.1})


def test_a_linear_layer_is_merged_for_other_providers(tmp_path):
    shape = np.array([0, 16, 7, 7], np.int64)
    layers = (
        ("Gemm", [weights(8, 16 * 49), weights(16 * 49, 1)[:, 0]], {}),
        ("Reshape", [shape], {}),
        (
            "ConvTranspose",
            [weights(16, 4, 4, 4)],
            {"kernel_shape": [4, 4], "strides": [2, 2], "pads": [1] * 4},
        ),
        ("Sigmoid", [], {}),
    )
    graph = onnx_ir.to_proto(chain((8,), *layers)).SerializeToString()
    options = compiler.Options(targets=["generic"], measure=False)
    bundle = compiler.compile(graph, out=tmp_path / "b", options=options).bundle
    entry = bundle.graph("decoder", targets=engine.targets("openvino"))
    assert (entry.target, entry.file) == ("generic", "decoder.generic.onnx")
    assert bundle.graph("decoder", targets=engine.targets("cpu")).target == "any"
    check = bundle.selfcheck()
    session = onnxruntime.InferenceSession(bundle.path / entry.file)
    (x_hat,) = session.run(None, {"z": check["z"]})
    np.testing.assert_allclose(x_hat, check["x_hat"], atol=bundle.tolerance)


def test_the_verb_takes_targets(graphs, tmp_path, capsys):
    line = ["compile", "--decoder", str(graphs / "decoder.onnx"), "--out", str(tmp_path / "b")]
    assert cli.main([*line, "--no-measure", "--for", "any,aarch64", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert {row["target"] for row in report["passes"]["decoder"]} == {"aarch64"}
    assert cli.main([*line, "--no-measure", "--for", "sparc", "--replace"]) == 4
    assert "expected some of any, x86_64, aarch64, generic, got 'sparc'" in capsys.readouterr().err


def test_the_verb_s_errors_have_the_exit_codes_of_the_others(graphs, tmp_path, capsys):
    line = ["compile", "--decoder", str(graphs / "absent.onnx"), "--out", str(tmp_path / "b")]
    assert cli.main(line) == 4
    with pytest.raises(SystemExit) as usage:
        cli.main([*line, "--likelihood", "bernoulli", "--sigma", "1"])
    assert usage.value.code == 2
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("keep")
    line[-1] = str(tmp_path / "full")
    line[2] = str(graphs / "decoder.onnx")
    assert cli.main([*line, "--no-measure"]) == 3
    assert (tmp_path / "full" / "mine.txt").read_text() == "keep"


def test_the_verb_replaces_a_bundle_only_on_request(graphs, tmp_path, capsys, monkeypatch):
    line = ["compile", "--decoder", str(graphs / "decoder.onnx"), "--out", str(tmp_path / "b")]
    assert cli.main([*line, "--no-measure"]) == 0
    before = (tmp_path / "b" / "manifest.json").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(compiler, "compile", lambda *_, **__: pytest.fail("work was done"))
        assert cli.main(line) == 4
    assert "found one; use --replace" in capsys.readouterr().err
    assert (tmp_path / "b" / "manifest.json").read_bytes() == before
    assert cli.main([*line, "--no-measure", "--name", "other", "--replace"]) == 0
    assert edgevae.load(tmp_path / "b").bundle.name == "other"


@pytest.mark.parametrize("measure", [True, False])
def test_a_bundle_says_how_many_rows_at_a_time(graphs, tmp_path, measure):
    compiled = compiler.compile(
        graphs / "decoder.onnx",
        graphs / "encoder.onnx",
        out=tmp_path / "b",
        options=compiler.Options(measure=measure),
    ).bundle
    assert all(entry.chunk_rows and entry.row_bytes for entry in compiled.graphs)
    vae = edgevae.load(compiled.path, "cpu", max_memory="1MB", chunk=None)
    assert vae.plan("decoder").chunk <= compiled.graph("decoder").chunk_rows

"""The table of a benchmark."""

from dataclasses import replace

from reports import BASE, OURS, report

from edgevae.diagnostics import bench


def rows(*cases: bench.Case) -> list[bench.Report]:
    return bench.summarise(
        [report(case, 3 if case == BASE else 1) for _ in range(2) for case in cases]
    )


def test_each_baseline_has_a_section_with_every_case():
    one = [replace(case, threads=1, concurrency=4) for case in (BASE, OURS)]
    text = bench.table(rows(BASE, OURS, *one))
    lines = text.splitlines()
    assert lines[0] == "cpu: generate, default threads, 1 caller"
    assert "cpu: generate, 1 thread, 4 callers" in lines
    assert lines[2:6] == ["1 row", lines[3], lines[4], "8 rows"]
    assert lines[3].split()[:4] == ["sess.run", "plain", "1.00x", "1.00-1.00"]
    assert lines[4].split()[:4] == ["edgevae", "compiled", "3.00x", "3.00-3.00"]
    assert max(map(len, lines)) <= 100


def test_a_wide_table_fits_in_100_columns():
    cases = [BASE, replace(OURS, runner="sess.run", precision="float32")]
    cases += [replace(OURS, precision=precision) for precision in ("int8", "bf16")]
    many = bench.summarise([report(case, 40 if case == BASE else 0.01) for case in cases])
    lines = bench.table(many).splitlines()
    assert max(map(len, lines)) <= 100
    assert any("4000x 4000-4000" in line for line in lines)


def test_a_percentile_without_enough_calls_is_a_dash_with_a_note():
    text = bench.table(rows(BASE, OURS))
    assert text.splitlines()[3].split()[-5:-2] == ["270", "-", "-"]
    note = " ".join(text[text.index("-: too few") :].split())
    assert note.startswith("-: too few calls, at the fewest 20. 10 calls must be slower than a")
    assert "p90 takes 100, p99 takes 1,000, p99.9 takes 10,000. Raise --seconds." in note


def test_the_baseline_shows_the_spread_of_its_processes():
    text = bench.table(bench.summarise([report(BASE, scale) for scale in (1.0, 1.1, 0.8)]))
    assert text.splitlines()[3].split()[2:4] == ["1.00x", "0.80-1.10"]


def test_a_machine_that_was_not_quiet_is_named():
    text = bench.table(bench.summarise([report(BASE, scale) for scale in (1.0, 1.5)]))
    assert "plain onnxruntime differ by up to 50%" in " ".join(text.split())
    text = bench.table(bench.summarise([report(BASE, scale) for scale in (1.0, 1.1)]))
    assert "not quiet" not in text


def test_nodes_are_added_over_roles():
    nodes = {"encoder": {"openvino": 20}, "decoder": {"openvino": 4, "cpu": 2}}
    text = bench.table(bench.summarise([report(OURS, 1, nodes=nodes)]))
    assert "  24 openvino, 2 cpu" in text


def test_a_bundle_of_one_graph_is_named():
    one = {"files": {"decoder": "decoder.onnx"}}
    reports = [report(BASE, 1, **one), report(OURS, 1, **one)]
    assert "one graph of the decoder, decoder.onnx" in bench.table(bench.summarise(reports))
    assert "one graph" not in bench.table(rows(BASE, OURS))


def test_numbers_have_three_digits():
    values = (None, 0.01234, 1.0, 12.34, 123.4, 12345.6)
    assert [*map(bench.tables.short, values)] == ["-", "0.0123", "1.00", "12.3", "123", "12,346"]

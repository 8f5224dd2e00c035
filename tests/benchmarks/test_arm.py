"""Tests of the counts on an emulated ARM core: what the table compares."""

import bench_arm
import pytest


def row(precision: str, target: str, instructions: int, rows: int = 2) -> dict[str, object]:
    facts = {"core": "a72", "model": "M2", "role": "decoder"}
    return facts | {
        "precision": precision,
        "target": target,
        "rows": rows,
        "instructions": {"all": instructions},
    }


def cells(*rows: dict[str, object]) -> list[str]:
    return [cell.strip() for cell in bench_arm.table(rows).splitlines()[-1].strip("|").split("|")]


def test_gains_are_of_the_plain_graph_for_each_row_of_data() -> None:
    rows = row("float32", "any", 8_000_000), row("float32", "aarch64", 4_000_000, rows=4)
    assert cells(*rows)[2:5] == ["4", "1.00x", "4.00x"]


def test_a_target_without_a_graph_has_the_plain_one_of_its_precision() -> None:
    rows = row("float32", "any", 8_000_000), row("int8", "any", 2_000_000)
    assert cells(*rows)[3:] == ["1.00x", "1.00x", "4.00x", "4.00x"]
    assert cells(rows[0])[5:] == ["-", "-"]


@pytest.mark.parametrize("constant", ["COUNTER = 77", "GETPRIORITY = 141"])
def test_the_plugin_reads_the_marks_of_the_guest(constant: str) -> None:
    assert constant in (bench_arm.HERE / "count_instructions.c").read_text()
    assert "getpriority(77, label)" in bench_arm.GUEST

"""Targets have names, passes, and machines that can race for them."""

import pytest

from edgevae.compiler import rewrites, targets
from edgevae.errors import InputError


def test_targets_are_found_by_name():
    assert targets.named(["aarch64", "any"]) == [targets.AARCH64]
    assert targets.named(targets.DEFAULT) == [targets.X86_64, targets.AARCH64]
    assert targets.named([]) == []
    with pytest.raises(InputError, match=r"expected some of any, x86_64, .*, got 'sparc'"):
        targets.named(["any", "sparc"])


def test_the_passes_that_a_target_goes_without_exist():
    names = {each.name for each in rewrites.PASSES}
    for target in targets.TARGETS.values():
        assert target.without < names


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        ("x86_64", {"x86_64": (), "aarch64": ("NchwcTransformer",), "generic": None}),
        ("aarch64", {"x86_64": None, "aarch64": (), "generic": None}),
        ("riscv64", {"x86_64": None, "aarch64": None, "generic": None}),
    ],
)
def test_a_machine_races_for_the_targets_it_can_imitate(monkeypatch, machine, expected):
    monkeypatch.setattr(targets, "architecture", lambda: machine)
    assert {name: target.disabled for name, target in targets.TARGETS.items()} == expected

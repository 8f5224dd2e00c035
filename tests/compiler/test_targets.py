"""Targets have names, passes, and machines that can race for them."""

import pytest

from edgevae.compiler import rewrites, targets
from edgevae.errors import InputError


def test_targets_are_found_by_name():
    assert targets.named(["aarch64", "any"]) == [targets.AARCH64]
    assert targets.named(targets.DEFAULT) == [*targets.TARGETS.values()]
    assert targets.named([]) == []
    with pytest.raises(InputError, match=r"expected some of any, x86_64, .*, got 'sparc'"):
        targets.named(["any", "sparc"])


def test_a_target_tries_passes_that_exist():
    names = {each.name for each in rewrites.PASSES}
    for target in targets.TARGETS.values():
        assert target.passes < names


@pytest.mark.parametrize("machine", ["x86_64", "aarch64", "riscv64"])
def test_a_machine_races_for_its_own_target(monkeypatch, machine):
    monkeypatch.setattr(targets, "architecture", lambda: machine)
    here = [name for name, target in targets.TARGETS.items() if target.here]
    assert here == [name for name in targets.TARGETS if name == machine]

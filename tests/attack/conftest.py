"""The number of cases of each attack: few in the quick part, any number by an option."""

import pytest

QUICK = 500


def pytest_addoption(parser):
    parser.addoption(
        "--attack-cases",
        type=int,
        default=QUICK,
        help=f"cases of each attack in tests/attack, {QUICK} unless given",
    )


@pytest.fixture
def attack_cases(request) -> int:
    return request.config.getoption("--attack-cases", default=QUICK)

"""The provider and the precision "auto" are what was tuned, or as without a tuning."""

import pytest

from edgevae.engine import TunedPlan, TunedSetting, Tuning, automatic, providers
from edgevae.engine.automatic import resolve


def setting(provider: str, precision: str, rate: float, psnr: float | None = None) -> TunedSetting:
    return TunedSetting(
        provider, precision, psnr, {"decoder": TunedPlan("any", 8, 1, 2, 1, 4, rate)}
    )


TUNED = Tuning(
    "2026-01-02T03:04:05+00:00",
    40.0,
    ("cpu", "openvino", "xnnpack"),
    (
        setting("cpu", "float32", 100),
        setting("cpu", "int8", 300, 36.0),
        setting("openvino", "float32", 200),
        setting("openvino", "bf16", 250, 45.0),
        setting("xnnpack", "float32", 150),
    ),
)
UNTUNED = Tuning()


@pytest.fixture(autouse=True)
def available(monkeypatch):
    """Let this machine have these providers."""
    names = ["cpu", "openvino", "xnnpack"]
    monkeypatch.setattr(providers, "available", lambda: names)
    monkeypatch.setattr(
        providers, "candidates", lambda name: ("cpu",) if name == "auto" else (name,)
    )
    return names


def choices(provider: str, precision: str, tuning: Tuning) -> tuple[str, str]:
    preference, found = resolve(provider, None, precision, tuning)
    return str(preference), found


@pytest.mark.parametrize(
    ("provider", "precision", "sessions", "found"),
    [
        ("auto", "float32", "openvino or cpu", "float32"),
        ("auto", "auto", "openvino", "bf16"),  # int8 is faster, and too different
        ("auto", "int8", "cpu", "int8"),
        ("cpu", "float32", "cpu", "float32"),
        ("cpu", "auto", "cpu", "float32"),
        ("openvino", "float32", "openvino", "float32"),
        ("openvino", "auto", "openvino", "bf16"),
    ],
)
def test_what_was_tuned_decides_about_auto(provider, precision, sessions, found):
    assert choices(provider, precision, TUNED) == (sessions, found)


def test_without_a_tuning_auto_is_the_cpu_and_float32():
    for provider in ("auto", "cpu"):
        for precision in ("auto", "float32"):
            assert choices(provider, precision, UNTUNED) == ("cpu", "float32")
    listed, precision = resolve("auto", ["openvino", "cpu"], "auto", TUNED)
    assert (str(listed), precision) == ("openvino, cpu", "float32")


def test_auto_is_decided_only_by_a_run_of_all_providers(available):
    some = TUNED._replace(compared=())
    assert choices("auto", "float32", some) == ("cpu", "float32")
    assert choices("openvino", "auto", some) == ("openvino", "bf16")
    available.append("webgpu")
    preference, _ = resolve("auto", None, "float32", TUNED)
    assert str(preference) == "cpu"
    assert preference.why.endswith("edgevae tune has not measured webgpu, which is new")


def test_a_provider_that_is_gone_leaves_its_place_to_the_next(available):
    available.remove("openvino")
    preference, precision = resolve("auto", None, "auto", TUNED)
    assert (str(preference), precision) == ("xnnpack or cpu", "float32")
    assert preference.why == (
        "edgevae tune found openvino to be the fastest on 2026-01-02, which is gone, and then "
        "xnnpack"
    )


@pytest.mark.parametrize(
    ("min_psnr", "psnr", "precision"),
    [(None, 99.0, "float32"), (40.0, None, "float32"), (40.0, 39.9, "float32"),
     (40.0, 40.0, "int8")],
)  # fmt: skip
def test_a_lower_precision_needs_the_users_bound(min_psnr, psnr, precision):
    two = (setting("cpu", "float32", 100), setting("cpu", "int8", 300, psnr))
    tuning = Tuning("2026", min_psnr, ("cpu",), two)
    best = automatic.fastest(tuning, ("cpu",), "auto")
    assert best.precision == precision


def test_among_equals_the_cpu_and_float32_are_taken():
    tuning = Tuning(
        "2026",
        30.0,
        ("cpu", "openvino"),
        (setting("openvino", "float32", 100), setting("cpu", "int8", 99, 40.0),
         setting("cpu", "float32", 98)),
    )  # fmt: skip
    best = automatic.fastest(tuning, tuning.compared, "auto")
    assert (best.provider, best.precision) == ("cpu", "float32")
    assert automatic.fastest(tuning, ("openvino",), "float32").provider == "openvino"
    assert automatic.fastest(tuning, ("xnnpack",), "float32") is None
    no_decoder = tuning._replace(settings=(TunedSetting("cpu", "float32", None, {}),))
    assert automatic.fastest(no_decoder, ("cpu",), "float32") is None

"""Tests of stream 1 against an independent implementation, its invariants and its statistics."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import special, stats

import edgevae
from edgevae import _core, sampling
from edgevae.errors import InputError
from edgevae.sampling import COMPONENT, POSTERIOR, MixtureTable, mixture, normal, reparameterize

F32 = np.float32
U64 = st.integers(0, 2**64 - 1)

# The kernel fixture applies to all examples of a test, as intended.
examples = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def philox(seed, index, blocks, purpose, draw=0):
    """Return the words (len(blocks), 4) of Philox4x32-10 for one row, as in the paper."""
    low = 0xFFFFFFFF
    words = []
    for block in blocks:
        a, b, c, d = block, index & low, index >> 32, purpose + 256 * draw
        key = seed & low, seed >> 32
        for _ in range(10):
            p, q = 0xD2511F53 * a, 0xCD9E8D57 * c
            a, b, c, d = (q >> 32) ^ b ^ key[0], q & low, (p >> 32) ^ d ^ key[1], p & low
            key = (key[0] + 0x9E3779B9) & low, (key[1] + 0xBB67AE85) & low
        words.append((a, b, c, d))
    return np.array(words, np.uint64).reshape(-1, 4)


def exact_normals(seed, index, dims, purpose=0, draw=0, first_dim=0):
    """Return the normals of one row, with the transform of stream 1 in float64."""
    blocks = range(first_dim // 4, (first_dim + dims + 3) // 4)
    words = philox(seed, index, blocks, purpose, draw)
    z = np.empty(words.shape)
    for pair in (0, 1):  # dimensions 0 and 2, then 1 and 3
        a, b = words[:, pair], words[:, pair + 2]
        u = ((a & 0x7FFFFFFF) | 1).astype(F32).astype(float) / 2**31
        r = np.sqrt(-2 * np.log(u))
        t = (b >> 9).astype(float) * 2.0**-22 - 1
        c, s = np.cos(np.pi * t / 4), np.sin(np.pi * t / 4)
        c = np.where(b & 1, -c, c)
        c, s = np.where(b & 2, s, c), np.where(b & 2, c, s)
        z[:, pair], z[:, pair + 2] = r * c, r * s
    return z.reshape(-1)[first_dim % 4 :][:dims]


def table(components=5, dims=6, seed=1):
    rng = np.random.default_rng(seed)
    weights = rng.random(components) ** 3
    weights[components // 2] = 0 if components > 1 else 1
    return MixtureTable(
        weights, rng.standard_normal((components, dims)), rng.standard_normal((components, dims))
    )


# -- The stream ------------------------------------------------------------------------------------


@examples
@given(
    seed=U64,
    index=U64,
    dims=st.integers(1, 40),
    first_dim=st.sampled_from([0, 1, 2, 3, 5, 2**34 - 40]),
    purpose=st.integers(0, 255),
    draw=st.sampled_from([0, 1, 255, 256, 2**24 - 1]),
)
def test_normal_is_philox_and_box_muller(kernel, seed, index, dims, first_dim, purpose, draw):
    got = normal(1, dims, seed=seed, start=index, first_dim=first_dim, purpose=purpose, draw=draw)
    expected = exact_normals(seed, index, dims, purpose, draw, first_dim)
    np.testing.assert_allclose(got[0], expected, rtol=0, atol=1.5e-6)


@examples
@given(seed=U64, start=U64, rows=st.integers(0, 70), dims=st.integers(0, 70), data=st.data())
def test_rows_and_dimensions_can_be_divided_anywhere(kernel, seed, start, rows, dims, data):
    full = normal(rows, dims, seed=seed, start=start)
    assert full.shape == (rows, dims)
    row, column = data.draw(st.integers(0, rows)), data.draw(st.integers(0, dims))
    after = (start + row) % 2**64
    parts = [
        [
            normal(row, column, seed=seed, start=start),
            normal(row, dims - column, seed=seed, start=start, first_dim=column),
        ],
        [
            normal(rows - row, column, seed=seed, start=after),
            normal(rows - row, dims - column, seed=seed, start=after, first_dim=column),
        ],
    ]
    assert np.block(parts).tobytes() == full.tobytes()


def test_rows_wrap_at_two_to_the_64():
    around = normal(4, 8, seed=7, start=2**64 - 2)
    assert around[2:].tobytes() == normal(2, 8, seed=7).tobytes()


@pytest.mark.parametrize(("rows", "dims"), [(1, 1), (3, 5), (64, 32), (257, 33), (1, 4097)])
def test_every_kernel_gives_the_bits_of_the_scalar_one(kernel, rows, dims):
    mu, logvar = np.random.default_rng(3).standard_normal((2, rows, dims), F32)
    mixed = table(dims=dims)

    def everything():
        return [
            normal(rows, dims, seed=11, start=13, purpose=1, draw=2).tobytes(),
            reparameterize(mu, 9 * logvar, seed=11, start=13, draws=3).tobytes(),
            mixture(rows, mixed, seed=11, start=13, temperature=0.7).tobytes(),
        ]

    got = everything()
    _core.use_kernel("scalar")
    assert got == everything()


def test_out_is_filled_and_returned():
    out = np.empty((3, 8), F32)
    assert normal(3, 8, seed=1, out=out) is out
    assert out.tobytes() == normal(3, 8, seed=1).tobytes()
    unaligned_to_a_vector = np.empty(25, F32)[1:].reshape(3, 8)
    assert normal(3, 8, seed=1, out=unaligned_to_a_vector).tobytes() == out.tobytes()


def test_purposes_and_draws_differ():
    rows = [normal(1, 64, seed=1, purpose=p, draw=d) for p in range(4) for d in range(3)]
    assert len({row.tobytes() for row in rows}) == 12


# -- Statistics, with a fixed seed: each bound is five standard errors or a p-value above 1e-4 -----

MANY = 1 << 24


@pytest.fixture(scope="module")
def many():
    return normal(MANY // 64, 64, seed=2026)


def test_moments(many):
    z = many.astype(np.float64).ravel()
    powers = np.ones_like(z)
    for power, (expected, variance) in enumerate([(0, 1), (1, 2), (0, 15), (3, 96)], start=1):
        powers *= z
        error = powers.mean() - expected
        assert abs(error) < 5 * np.sqrt(variance / MANY), f"moment {power} is off by {error}"


def test_kolmogorov_smirnov(many):
    assert stats.kstest(many[: 1 << 16].ravel(), "norm").pvalue > 1e-4


def test_chi_square_of_65536_equally_likely_bins(many):
    bins = (special.ndtr(many.astype(np.float64).ravel()) * 65536).astype(np.int64)
    counts = np.bincount(bins, minlength=65536)
    assert counts.shape == (65536,)
    assert 1e-4 < stats.chisquare(counts).pvalue < 1 - 1e-4


@pytest.mark.parametrize("sigma", [4.0, 4.5, 5.0])
def test_tails(many, sigma):
    expected = MANY * special.ndtr(-sigma)
    for tail in (many > sigma, many < -sigma):
        assert abs(np.count_nonzero(tail) - expected) < 5 * np.sqrt(expected)


def correlation(a, b):
    """Return the correlation of two sets of standard normals, in standard errors."""
    return np.einsum("ij,ij->", a, b, dtype=np.float64) / np.sqrt(a.size)


def test_neighbours_are_uncorrelated(many):
    z = many.astype(np.float64)
    squares = z**2 - 1  # whose variance is 2
    for first, second in [
        (np.s_[:-1], np.s_[1:]),
        *((np.s_[:, :-k], np.s_[:, k:]) for k in range(1, 9)),
    ]:
        assert abs(correlation(z[first], z[second])) < 5
        assert abs(correlation(squares[first], squares[second]) / 2) < 5


@pytest.mark.parametrize(
    "other",
    [{"seed": 2027}, {"seed": 2026 + 2**32}, {"start": 2**32}, {"purpose": 1}, {"draw": 1}],
    ids=str,
)
def test_neighbouring_streams_are_uncorrelated(many, other):
    near = normal(MANY // 64, 64, **{"seed": 2026, **other})
    assert abs(correlation(many, near)) < 5


# -- Reparameterize --------------------------------------------------------------------------------


@examples
@given(
    seed=U64, start=U64, rows=st.integers(0, 20), dims=st.integers(0, 40), draws=st.integers(1, 4)
)
def test_reparameterize_is_mu_plus_scale_times_normal(kernel, seed, start, rows, dims, draws):
    rng = np.random.default_rng(rows * 41 + dims)
    mu, logvar = rng.standard_normal((2, rows, dims), F32)
    z = reparameterize(mu, logvar, seed=seed, start=start, draws=draws)
    assert z.shape == ((rows, dims) if draws == 1 else (draws, rows, dims))
    scale = _core.scale(logvar)
    for draw, each in enumerate(z.reshape(draws, rows, dims)):
        eps = normal(rows, dims, seed=seed, start=start, purpose=POSTERIOR, draw=draw)
        assert each.tobytes() == (mu + scale * eps).tobytes()


@examples
@given(rows=st.integers(1, 30), data=st.data())
def test_reparameterize_can_be_divided_anywhere(kernel, rows, data):
    mu, logvar = np.random.default_rng(rows).standard_normal((2, rows, 7), F32)
    cut = data.draw(st.integers(0, rows))
    full = reparameterize(mu, logvar, seed=5, start=9, draws=2)
    first = reparameterize(mu[:cut], logvar[:cut], seed=5, start=9, draws=2)
    rest = reparameterize(mu[cut:], logvar[cut:], seed=5, start=9 + cut, draws=2)
    assert np.concatenate([first, rest], axis=1).tobytes() == full.tobytes()


def test_scale_is_exp_of_half_the_log_of_the_variance(kernel):
    logvar = np.linspace(-30, 20, 100_001, dtype=F32).reshape(1, -1)
    exact = np.exp(logvar.astype(np.float64) / 2)
    assert np.abs(_core.scale(logvar) / exact - 1).max() < 5e-7
    assert _core.scale(np.zeros((1, 9), F32)).tolist() == [[1.0] * 9]


def test_logvar_is_clamped(kernel):
    outside = np.array([[-np.inf, -1e30, -30.5, 20.5, 1e30, np.inf]], F32)
    assert _core.scale(outside).tobytes() == _core.scale(outside.clip(-30, 20)).tobytes()


# -- Mixture ---------------------------------------------------------------------------------------


@examples
@given(
    seed=U64,
    start=U64,
    rows=st.integers(0, 20),
    components=st.sampled_from([1, 2, 5, 256]),
    dims=st.integers(1, 40),
    temperature=st.sampled_from([0.0, 0.7, 1.0]),
)
def test_mixture_is_component_mean_plus_scaled_noise(
    kernel, seed, start, rows, components, dims, temperature
):
    mixed = table(components, dims)
    z = mixture(rows, mixed, seed=seed, start=start, temperature=temperature)
    eps = normal(rows, dims, seed=seed, start=start) * F32(temperature)
    for i in range(rows):
        first, second, *_ = philox(seed, (start + i) % 2**64, [0], COMPONENT)[0].tolist()
        k = first * components >> 32
        k = k if second < mixed.thresholds[k] else mixed.aliases[k]
        assert mixed.weights[k] > 0
        assert z[i].tobytes() == (mixed.means[k] + mixed.scales[k] * eps[i]).tobytes()


@examples
@given(rows=st.integers(0, 40), data=st.data())
def test_mixture_can_be_divided_anywhere(kernel, rows, data):
    mixed, cut = table(), data.draw(st.integers(0, rows))
    full = mixture(rows, mixed, seed=5, start=9)
    parts = [
        mixture(cut, mixed, seed=5, start=9),
        mixture(rows - cut, mixed, seed=5, start=9 + cut),
    ]
    assert np.concatenate(parts).tobytes() == full.tobytes()


def test_temperature_does_not_change_the_components():
    mixed = MixtureTable(np.ones(8), 100 * np.arange(8.0).reshape(8, 1), np.zeros((8, 1)))
    warm = mixture(1000, mixed, seed=1, temperature=1.0)
    cold = mixture(1000, mixed, seed=1, temperature=0.0)
    assert (np.round(warm / 100) * 100 == cold).all()


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(0, 1e6, width=32), min_size=1, max_size=300).filter(any))
def test_alias_table_represents_the_weights(weights):
    count = len(weights)
    mixed = MixtureTable(weights, np.zeros((count, 1)), np.zeros((count, 1)))
    kept = mixed.thresholds / 2.0**32
    kept[mixed.aliases == np.arange(count)] = 1
    implied = kept / count
    np.add.at(implied, mixed.aliases, (1 - kept) / count)
    np.testing.assert_allclose(implied, np.array(weights) / sum(weights), rtol=0, atol=1e-9)


def test_component_frequencies():
    weights = np.array([1, 2, 3, 0, 10, 0.5])
    means = np.eye(6) * 100
    z = mixture(1 << 20, MixtureTable(weights, means, np.zeros((6, 6))), seed=3)
    counts = np.bincount(z.argmax(axis=1), minlength=6)
    assert counts[3] == 0
    drawn = weights > 0
    expected = weights[drawn] / weights.sum() * len(z)
    assert stats.chisquare(counts[drawn], expected).pvalue > 1e-4


def test_mixture_table_is_immutable():
    weights = np.ones(2, F32)
    mixed = MixtureTable(weights, np.zeros((2, 3)), np.zeros((2, 3)))
    weights[0] = 5
    assert mixed.weights.tolist() == [1, 1]
    with pytest.raises(AttributeError, match="immutable"):
        mixed.means = np.ones((2, 3))
    with pytest.raises(AttributeError, match="immutable"):
        del mixed.means
    with pytest.raises(ValueError, match="read-only"):
        mixed.means[0] = 1
    with pytest.raises(ValueError, match="WRITEABLE"):
        mixed.aliases.flags.writeable = True


def test_mixture_table_survives_float32_pickle_and_copy():
    mixed = table(256, 32)
    expected = mixture(100, mixed, seed=1).tobytes()
    again = MixtureTable(mixed.weights, mixed.means, mixed.logvars)
    for other in (again, pickle.loads(pickle.dumps(mixed)), copy.deepcopy(mixed)):
        assert mixture(100, other, seed=1).tobytes() == expected
    assert (mixed.components, mixed.dims) == (256, 32)
    assert repr(mixed) == "MixtureTable(components=256, dims=32)"


@pytest.mark.parametrize(
    ("weights", "means", "logvars", "message"),
    [
        ([1, 1], [[0.0], [0.0]], [[0.0]], "means, logvars: expected two arrays of one shape"),
        (
            [1],
            [[0.0], [0.0]],
            [[0.0], [0.0]],
            "weights: expected 2, one for each row of means, got 1",
        ),
        ([0, 0], [[0.0], [0.0]], [[0.0], [0.0]], "weights: .*at least one of them above 0"),
        ([2, -1], [[0.0], [0.0]], [[0.0], [0.0]], "weights: .*a smallest of -1"),
        ([1, np.nan], [[0.0], [0.0]], [[0.0], [0.0]], "weights: expected finite"),
        ([1], [[1e300]], [[0.0]], "means: expected finite float32"),
        ([1], [0.0], [[0.0]], r"means: expected 2 axes, got shape \(1,\)"),
        ([1], [["a"]], [[0.0]], "means: expected an array of numbers"),
        ([1], [[]], [[]], "dims from 1"),
        ([], np.zeros((0, 2)), np.zeros((0, 2)), "weights: .*at least one"),
    ],
)
def test_mixture_table_rejects_invalid_arrays(weights, means, logvars, message):
    with pytest.raises(InputError, match=message):
        MixtureTable(weights, means, logvars)


@pytest.mark.parametrize("temperature", [-0.1, np.nan, np.inf, 1e39, "1", None])
def test_temperature_is_finite_and_not_negative(temperature):
    with pytest.raises(InputError, match="temperature: expected a finite number"):
        mixture(1, table(), seed=1, temperature=temperature)


def test_log_density_matches_scipy():
    rng = np.random.default_rng(0)
    weights, means, logvars = (
        rng.random(6),
        rng.standard_normal((6, 3)),
        rng.standard_normal((6, 3)),
    )
    weights[2] = 0
    mixed = MixtureTable(weights, means, logvars)
    z = 3 * rng.standard_normal((50, 3)).astype(np.float32)
    terms = [
        np.log(w) + stats.norm(m, np.exp(v / 2)).logpdf(z).sum(1)
        for w, m, v in zip(weights / weights.sum(), means, logvars, strict=True)
        if w
    ]
    expected = np.logaddexp.reduce(terms)
    np.testing.assert_allclose(mixed.log_density(z), expected, rtol=1e-5, atol=1e-5)


def test_mixture_requires_a_mixture_table():
    with pytest.raises(InputError, match="table: expected a MixtureTable, got tuple"):
        mixture(1, (1, 2, 3), seed=1)


def test_an_alias_beyond_the_table_is_an_input_error():
    mixed = table(5)
    with pytest.raises(InputError, match="aliases: expected indices below the 5 components, got 9"):
        _core.mixture(
            1,
            mixed.means,
            mixed.scales,
            mixed.thresholds,
            np.array([0, 1, 9, 3, 4], np.uint32),
            seed=1,
            start=0,
            temperature=1.0,
            out=None,
        )


def test_fresh_seeds_are_64_bits_and_differ():
    seeds = {edgevae.fresh_seed() for _ in range(100)}
    assert len(seeds) == 100
    assert all(0 <= seed < 2**64 for seed in seeds)
    assert max(seeds) >= 2**56  # almost certain if all 64 bits are random


def test_constants_match_the_header():
    assert (sampling.PRIOR, sampling.POSTERIOR, sampling.COMPONENT, sampling.CORRUPTION) == (
        0,
        1,
        2,
        3,
    )
    assert sampling.STREAM == 1

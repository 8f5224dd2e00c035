"""Maps of the latent space: places and colours of items, units and the manifold."""

import sys

import numpy as np
import pytest

import edgevae
from edgevae import InputError, Posterior
from edgevae.plots import latent_map


def offsets(figure, axes=0):
    return np.asarray(figure.axes[axes].collections[0].get_offsets())


def test_a_plane_is_that_of_the_largest_variance():
    rng = np.random.default_rng(0)
    z = (rng.standard_normal((500, 6)) * [1, 9, 1, 1, 5, 1]).astype(np.float32) + 3
    plane = latent_map.Plane(z.reshape(500, 2, 3))
    places = plane.project(z.reshape(500, 2, 3))
    np.testing.assert_allclose(places.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(
        np.abs(places), np.abs(z[:, [1, 4]] - z[:, [1, 4]].mean(0)), atol=1.5
    )
    assert plane.shares[0] == pytest.approx(81 / 110, abs=0.05)


@pytest.mark.parametrize("dims", [1, 2])
def test_few_dimensions_are_shown_as_they_are(dims):
    z = np.random.default_rng(0).standard_normal((9, dims)).astype(np.float32)
    places = latent_map.Plane(z).project(z)
    np.testing.assert_allclose(places, np.pad(z, ((0, 0), (0, 2 - dims))))


def test_each_item_has_its_label_s_colour():
    mu = np.random.default_rng(1).standard_normal((30, 2)).astype(np.float32)
    labels = np.array(["boot", "bag", "coat"])[np.arange(30) % 3]
    figure = latent_map.draw_scatter(mu, labels)
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["bag", "boot", "coat"]
    colours = axes.collections[0].get_facecolors()
    nearest = np.abs(offsets(figure)[:, None] - mu).sum(2).argmin(1)  # they are drawn in any order
    seen = {label: {tuple(c) for c in colours[labels[nearest] == label]} for label in set(labels)}
    assert all(len(each) == 1 for each in seen.values())
    assert len(set.union(*seen.values())) == 3
    with pytest.raises(InputError, match="labels: expected 30"):
        latent_map.draw_scatter(mu, labels[:4])


def test_prior_and_posterior_share_a_frame(flat):
    posterior = flat.encode(flat.generate(200, seed=1))
    figure = latent_map.draw_prior(flat, posterior)
    left, right = figure.axes
    assert left.get_xlim() == right.get_xlim()
    np.testing.assert_allclose(offsets(figure), posterior.sample(seed=0), atol=1e-5)
    np.testing.assert_allclose(offsets(figure, 1), flat.sample(200, seed=0), atol=1e-5)


def test_units_are_ordered_and_active_where_mu_varies():
    mu = np.zeros((100, 3), np.float32)
    mu[:, 2] = np.linspace(-2, 2, 100)
    figure = latent_map.draw_units(Posterior(mu, np.tile(np.float32([0, -1, -3]), (100, 1))))
    (axes,) = figure.axes
    heights = [bar.get_height() for bar in axes.patches]
    assert heights == sorted(heights, reverse=True)
    assert heights[1] == pytest.approx((np.exp(-1) - 1 + 1) / 2)
    assert axes.get_title().startswith("1 of 3 units active")
    assert [text.get_text() for text in axes.get_xticklabels()] == ["2", "1", "0"]


def test_the_manifold_is_decoded_by_quantiles(flat):
    figure = latent_map.draw_manifold(flat, side=3)
    picture = figure.axes[0].images[0].get_array()
    assert picture.shape == (24, 24)
    far = 0.9674216  # the quantile of 5/6
    z = np.array([[-far, far], [0, 0], [far, far]], np.float32)  # upper left, middle, upper right
    tiles = edgevae.packing.pack(flat.decode(z))
    for tile, (row, column) in zip(tiles, ((0, 0), (8, 8), (0, 16)), strict=True):
        np.testing.assert_allclose(
            picture[row : row + 8, column : column + 8], tile[..., 0], atol=1
        )


def test_a_manifold_has_two_dimensions(tiny_paths):
    with pytest.raises(InputError, match="2 dimensions, got images and 4"):
        latent_map.draw_manifold(edgevae.load(tiny_paths["grey"]))


def test_without_matplotlib_the_extra_is_named(flat, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(InputError, match=r"pip install 'edgevae\[plot\]'"):
        latent_map.draw_units(flat.encode(flat.generate(3)))

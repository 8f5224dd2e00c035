import pytest
from chains import chain, conv, resize, rewritten, weights

from edgevae.compiler.rewrites import scatter_narrow, split_phases, split_upsample

UP = {"kernel_shape": [4, 4], "strides": [2, 2], "pads": [1, 1, 1, 1]}


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize(
    ("kernel", "padding", "dilation"),
    [(3, 1, 1), (5, 2, 1), (3, 0, 1), (4, 1, 1), (3, 2, 2), (3, 4, 1), (3, 5, 2)],
)
def test_few_outputs_are_scattered(outputs, kernel, padding, dilation):
    layer = conv(16, outputs, [kernel] * 2, [padding] * 4, dilations=[dilation] * 2)
    model = chain((16, 6, 7), layer, ("Sigmoid", [], {}))
    assert rewritten(model, scatter_narrow.rewrite) == (1, ["ConvTranspose", "Sigmoid"])


@pytest.mark.parametrize(("kernel", "padding"), [(3, 1), (5, 2), (3, 0), (3, 3)])
@pytest.mark.parametrize("scale", [2, 3])
def test_phases_are_scattered_as_they_are(scale, kernel, padding):
    def rewrite(model):
        return split_upsample.rewrite(model), scatter_narrow.rewrite(model)

    model = chain(
        (8, 5, 6),
        resize([scale, scale]),
        conv(8, 16, [3, 3], [1] * 4),
        ("Relu", [], {}),
        conv(16, 1, [kernel] * 2, [padding] * 4),
    )
    places, kinds = rewritten(model, rewrite)
    assert places == (1, 1)
    assert "Concat" not in kinds
    assert kinds.count("Conv") == kinds.count("ConvTranspose") == scale**2


def test_a_crop_is_kept_between():
    def rewrite(model):
        return split_phases.rewrite(model), scatter_narrow.rewrite(model)

    odd = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}
    up = ("ConvTranspose", [weights(8, 16, 3, 3)], odd)
    places, kinds = rewritten(chain((8, 5, 5), up, conv(16, 1, [3, 3], [1] * 4)), rewrite)
    assert places == (1, 1)
    assert "Slice" in kinds


@pytest.mark.parametrize(
    "layer",
    [
        conv(16, 8, [3, 3], [1] * 4),
        conv(16, 1, [1, 1], [0] * 4),
        conv(16, 2, [3, 3], [1] * 4, group=2),
        conv(16, 1, [3, 3], [1] * 4, strides=[2, 2]),
    ],
)
def test_a_layer_that_would_not_gain_is_unchanged(layer):
    assert rewritten(chain((16, 6, 6), layer), scatter_narrow.rewrite) == (0, ["Conv"])


def test_half_the_channels_are_scattered():
    layers = conv(16, 8, [3, 3], [1] * 4), ("Relu", [], {}), conv(8, 6, [3, 3], [1] * 4)
    kinds = ["ConvTranspose", "Relu", "Conv"]
    assert rewritten(chain((16, 6, 7), *layers), scatter_narrow.rewrite_half) == (1, kinds)


def test_products_that_leave_the_cache_are_not_scattered():
    """They take 4 * 3 * 3 * 8 * 910 bytes, a little less than 256 KiB, or 4 * 3 * 3 * 8 * 936."""
    for width, places in ((35, 1), (36, 0)):
        layer = conv(16, 8, [3, 3], [1] * 4)
        model = chain((16, 26, width), layer)
        assert scatter_narrow.rewrite_half(model) == places

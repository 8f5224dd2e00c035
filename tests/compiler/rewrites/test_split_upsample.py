import pytest
from chains import chain, conv, resize, rewritten

from edgevae.compiler.rewrites import split_upsample

ASYMMETRIC = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("attributes", [{}, ASYMMETRIC], ids=["half_pixel", "asymmetric"])
@pytest.mark.parametrize(("kernel", "padding"), [(3, 1), (5, 2), (1, 0), (3, 0), (4, 1)])
def test_upsampling_and_its_convolution_are_one(scale, attributes, kernel, padding):
    layer = conv(8, 12, [kernel] * 2, [padding] * 4)
    model = chain((8, 5, 4), resize([scale, scale], **attributes), layer)
    places, kinds = rewritten(model, split_upsample.rewrite)
    assert places == 1
    assert kinds.count("Conv") == scale**2
    assert "Resize" not in kinds


def test_factors_may_differ_and_groups_and_dilations_stay():
    layer = conv(8, 8, [3, 3], [2, 1, 2, 1], group=4, dilations=[2, 1])
    model = chain((8, 4, 5), resize([2, 3], **ASYMMETRIC), layer)
    assert rewritten(model, split_upsample.rewrite)[0] == 1


@pytest.mark.parametrize(
    "layers",
    [
        (resize([2, 2], mode="linear"), conv(8, 8, [3, 3], [1] * 4)),
        (resize([1.5, 1.5]), conv(8, 8, [3, 3], [1] * 4)),
        (resize([0.5, 0.5]), conv(8, 8, [3, 3], [1] * 4)),
        (resize([3, 3], **ASYMMETRIC | {"nearest_mode": "round_prefer_ceil"}),
         conv(8, 8, [3, 3], [1] * 4)),
        (resize([2, 2]), conv(8, 8, [3, 3], [1] * 4, strides=[2, 2])),
        (resize([2, 2]), ("Relu", [], {}), conv(8, 8, [3, 3], [1] * 4)),
    ],
)  # fmt: skip
def test_a_resize_that_repeats_no_pixels_is_unchanged(layers):
    places, kinds = rewritten(chain((8, 4, 4), *layers), split_upsample.rewrite)
    assert places == 0
    assert "Resize" in kinds

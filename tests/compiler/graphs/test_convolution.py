from chains import chain, conv, weights

from edgevae.compiler.graphs import convolution


def test_attributes_have_defaults():
    model = chain((2, 5, 7), ("Conv", [weights(3, 2, 3, 1)], {}))
    found = convolution.read(model.graph[0])
    assert (found.size, found.out, found.kernel) == ([5, 7], [3, 7], (3, 1))
    assert (found.strides, found.dilations, found.group) == ([1, 1], [1, 1], 1)
    assert (found.begins, found.ends, found.bias) == ([0, 0], [0, 0], None)


def test_axes_are_kernel_stride_dilation_and_padding():
    layer = conv(2, 4, [3, 2], [1, 0, 2, 1], strides=[2, 1], dilations=[1, 2])
    found = convolution.read(chain((2, 9, 9), layer).graph[0])
    assert list(found.axes()) == [(3, 2, 1, 1), (2, 1, 2, 0)]
    assert found.ends == [2, 1]
    assert found.bias is not None

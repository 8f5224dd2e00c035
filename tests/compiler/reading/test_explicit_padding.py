import pytest
from chains import chain, weights

RULES = {
    ("Conv", "SAME_UPPER", 8): [0, 0, 1, 1],
    ("Conv", "SAME_LOWER", 8): [1, 1, 0, 0],
    ("Conv", "SAME_UPPER", 9): [1, 1, 1, 1],
    ("Conv", "VALID", 8): [0, 0, 0, 0],
    ("ConvTranspose", "SAME_UPPER", 8): [0, 0, 1, 1],
    ("ConvTranspose", "SAME_LOWER", 8): [1, 1, 0, 0],
}


@pytest.mark.parametrize(("rule", "pads"), RULES.items(), ids=map(str, RULES))
def test_a_rule_becomes_numbers(rule, pads):
    kind, automatic, side = rule
    settings = {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": automatic}
    (node,) = chain((2, side, side), (kind, [weights(2, 2, 3, 3)], settings)).graph
    assert "auto_pad" not in node.attributes
    assert list(node.attributes["pads"].as_ints()) == pads


def test_an_output_shape_becomes_numbers():
    settings = {"kernel_shape": [4, 4], "strides": [2, 2], "output_shape": [15, 16]}
    (node,) = chain((2, 8, 8), ("ConvTranspose", [weights(2, 2, 4, 4)], settings)).graph
    assert "output_shape" not in node.attributes
    assert list(node.attributes["pads"].as_ints()) == [2, 1, 1, 1]

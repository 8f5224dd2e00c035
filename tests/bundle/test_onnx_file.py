"""A graph that names other files, runs for ever or holds NaN is refused before it is opened."""

from pathlib import Path

import numpy as np
import pytest
from onnx_bytes import attribute, external, field, graph, model, node, port, tensor, varint

from edgevae.bundle import onnx_file
from edgevae.errors import BundleError

ONES = np.ones(4, "<f4").tobytes()
INPUTS, OUTPUTS = [port("z", "n", 4)], [port("x_hat", "n", 4)]
GRAPH, TENSOR, TENSORS, GRAPHS = 5, 4, 9, 10  # the kinds of attributes


def decoder(*nodes: bytes, tensors: tuple[bytes, ...] = (), fields: tuple[bytes, ...] = ()):
    """Return x_hat = z + w with further nodes, tensors and fields of the model."""
    main = graph(
        [node("Add", "z w", "x_hat"), *nodes], INPUTS, OUTPUTS, [tensor("w", ONES), *tensors]
    )
    return model(main, *fields)


def check(content: bytes) -> None:
    onnx_file.check(Path("decoder.onnx"), content)


def constant(value: bytes) -> bytes:
    return node("Constant", "", "c", attribute("value", 5, value, TENSOR))


def branches(inner: bytes) -> bytes:
    """Return a node with a graph that holds a tensor."""
    body = graph([], [], [port("o", 4)], [inner])
    return node("If", "c", "o", attribute("then_branch", 6, body, GRAPH))


def sparse(values: bytes, indices: bytes) -> bytes:
    return field(1, values) + field(2, indices) + field(3, 4)


INDICES = tensor("i", np.arange(4, dtype="<i8").tobytes(), dtype=7)
LOOP = node("Loop", "m c z", "o", attribute("body", 6, graph([], [], []), GRAPH))


def test_a_plain_graph_passes():
    check(decoder())
    check(decoder(constant(tensor("c", ONES)), branches(tensor("o", ONES))))


@pytest.mark.parametrize("location", ["w.bin", "../w.bin", "/etc/passwd", "*/_ORT_MEM_ADDR_/*"])
def test_external_data_are_refused_wherever_they_are(location):
    data = external(location)
    body = graph([constant(data)], [], [port("o", 4)])
    files = {
        "initializer": decoder(tensors=(data,)),
        "attribute": decoder(constant(data)),
        "list": decoder(node("Custom", "", "c", attribute("v", 10, data, TENSORS))),
        "sparse attribute": decoder(
            node("Constant", "", "c", attribute("sparse_value", 22, sparse(data, INDICES), 11))
        ),
        "subgraph": decoder(branches(data)),
        "node of a subgraph": decoder(node("If", "c", "o", attribute("then_branch", 6, body, 5))),
        "list of graphs": decoder(node("X", "c", "o", attribute("bodies", 11, body, GRAPHS))),
    }
    main = graph([], INPUTS, OUTPUTS) + field(15, sparse(data, INDICES))
    files["sparse initializer"] = model(main)
    files["second part of the graph"] = decoder() + field(7, field(5, data))
    for where, content in files.items():
        print(where)  # which pytest shows if the next line fails
        with pytest.raises(BundleError, match=r"decoder\.onnx: expected a graph without external"):
            check(content)


def test_a_location_of_data_is_refused_without_its_entries_and_the_reverse():
    for extra in (field(14, 1), field(14, 1 << 40), field(13, field(1, "offset") + field(2, "0"))):
        with pytest.raises(BundleError, match="external data"):
            check(decoder(tensors=(tensor("v", ONES, extra),)))
    check(decoder(tensors=(tensor("v", ONES, field(14, 0)),)))  # the default, written out


def test_functions_and_instructions_for_training_are_refused():
    function = field(1, "F") + field(10, "mine") + field(7, node("F", "z", "z", domain="mine"))
    with pytest.raises(BundleError, match="a graph without functions"):
        check(decoder(fields=(field(25, function),)))
    with pytest.raises(BundleError, match="without instructions for training"):
        check(decoder(fields=(field(20, field(1, graph([], [], []))),)))


def test_operators_that_run_for_ever_or_read_files_are_refused():
    inside = node("If", "c", "o", attribute("then_branch", 6, graph([LOOP], [], []), GRAPH))
    for content in (decoder(LOOP), decoder(inside)):
        with pytest.raises(BundleError, match="without Loop nodes"):
            check(content)
    context = node("EPContext", "z", "o", domain="com.microsoft")
    with pytest.raises(BundleError, match="without nodes of a provider's own code"):
        check(decoder(context))


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    ("code", "dtype", "list_field"), [("<f4", 1, 4), ("<f8", 11, 10), ("<f2", 10, None)]
)
def test_tensors_are_finite(number, code, dtype, list_field):
    many = np.zeros(400_000, code)  # more than one block
    many[-3] = number
    raw = many.tobytes()
    contents = [
        decoder(tensors=(tensor("v", raw, dtype=dtype),)),
        decoder(constant(tensor("v", raw, dtype=dtype))),
        decoder(branches(tensor("v", raw, dtype=dtype))),
    ]
    if list_field is not None:
        contents.append(decoder(tensors=(field(2, dtype) + field(list_field, raw),)))
    for content in contents:
        with pytest.raises(BundleError, match="expected finite numbers in each tensor"):
            check(content)


def test_tensors_of_bfloat16_are_finite():
    check(decoder(tensors=(tensor("v", b"\x7f\x7f" * 4, dtype=16),)))
    with pytest.raises(BundleError, match="expected finite numbers"):
        check(decoder(tensors=(tensor("v", b"\x80\x7f" * 4, dtype=16),)))


def test_integers_may_have_any_bits():
    check(decoder(tensors=(tensor("v", b"\xff" * 16, dtype=7),)))


def test_names_are_text():
    for name in (port(b"\xff", "n", 4), port("z", "n") + field(2, field(1, b"")), port("z", 4)):
        content = model(graph([], [name], OUTPUTS))
        if b"\xff" in name:
            with pytest.raises(BundleError, match="expected names in UTF-8"):
                check(content)
        else:
            check(content)


@pytest.mark.parametrize(
    "content",
    [
        b"\x0b",  # a group
        b"\xff" * 20,
        field(7, b"\x0a\x7f"),  # a node that is cut off
        varint(7 << 3 | 2) + b"\xff\xff\xff\xff\x0f",  # a length beyond the file
        b"\xba\x80\x00\x00",  # a tag of three bytes, which some readers cut short
        decoder()[:-1],
    ],
)
def test_other_content_is_refused(content):
    with pytest.raises(BundleError, match="expected an ONNX graph"):
        check(content)


def test_deep_graphs_are_refused():
    inner = graph([constant(tensor("c", ONES))], [], [])
    for _ in range(3000):
        inner = graph([node("If", "c", "o", attribute("then_branch", 6, inner, GRAPH))], [], [])
    with pytest.raises(BundleError, match="at most 60 levels"):
        check(model(inner))

"""Check the content of an ONNX file before onnxruntime parses it.

A graph from a stranger must not name other files or run for ever, and must not reach the parts of
onnxruntime that crash on hostile graphs. So external data, functions, Loop nodes and nodes with a
provider's compiled code are refused; the compiler writes none of them. Tensors hold finite numbers.

The reader knows only the fields of the protobuf messages in onnx.proto that lead to these, and
skips all others. Where the encoding could be read in two ways, it raises `BundleError`.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from edgevae import _core
from edgevae.errors import BundleError

# The fields that hold messages to be read, by the message that they are in.
_MESSAGES = {
    "model": {7: "graph"},
    "graph": {1: "node", 5: "tensor", 11: "port", 12: "port", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "port": {2: "type"},
    "type": {1: "tensor type"},
    "tensor type": {2: "shape"},
    "shape": {1: "dim"},
}
_REFUSED_PARTS = {"model": {20: "instructions for training", 25: "functions"}}
_TEXTS = {"port": 1, "dim": 2, "node": 4}  # the names that onnxruntime returns, and operators
_REFUSED_OPERATORS = {b"Loop": "Loop nodes", b"EPContext": "nodes of a provider's own code"}

# The fields of a tensor.
_DATA_TYPE, _FLOAT_DATA, _RAW_DATA, _DOUBLE_DATA = 2, 4, 9, 10
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14
_EXPONENTS = {  # the types of tensors of floats, with the bits that are all set in NaN and infinity
    1: ("<u4", 0x7F800000),
    10: ("<u2", 0x7C00),
    11: ("<u8", 0x7FF0000000000000),
    16: ("<u2", 0x7F80),
}
_FLOAT32, _FLOAT64 = 1, 11
_LITTLE_ENDIAN = np.dtype("<f4").isnative
_BLOCK = 1 << 20  # bytes of a tensor that are checked at a time

_VARINT, _BYTES = 0, 2  # wire types
_FIXED = {1: 8, 5: 4}  # the sizes of the other wire types, in bytes
_DEEPEST = 60  # levels of messages; protobuf itself reads no more than 100

# A node is read further only if its bytes contain one of these: most nodes are a few short fields
# that can hold nothing to refuse.
_WORTH_READING = re.compile(rb"location|Loop|EPContext|Constant|If|Scan")


def check(path: Path, content: bytes) -> None:
    """Raise `BundleError` for a graph that onnxruntime should not see; `path` names it."""
    try:
        _check_message(content, "model", 0, len(content), 0)
    except _RefusedError as error:
        raise BundleError(f"{path}: {error}; export the bundle again") from None


class _RefusedError(Exception):
    """The reason why a graph is refused."""


def _check_message(data: bytes, kind: str, start: int, stop: int, depth: int) -> None:
    if depth > _DEEPEST:
        raise _RefusedError(f"expected a graph of at most {_DEEPEST} levels")
    if kind == "tensor":
        _check_tensor(data, start, stop)
        return
    if kind == "node" and not _WORTH_READING.search(data, start, stop):
        return
    messages, text = _MESSAGES.get(kind, {}), _TEXTS.get(kind)
    refused = _REFUSED_PARTS.get(kind, {})
    for number, wire, first, last in _fields(data, start, stop):
        if number in refused:
            raise _RefusedError(f"expected a graph without {refused[number]}")
        if wire != _BYTES:
            continue
        if number in messages:
            _check_message(data, messages[number], first, last, depth + 1)
        elif number == text:
            _check_text(kind, data[first:last])


def _check_text(kind: str, text: bytes) -> None:
    if kind == "node" and text in _REFUSED_OPERATORS:
        raise _RefusedError(f"expected a graph without {_REFUSED_OPERATORS[text]}")
    try:
        text.decode()
    except UnicodeDecodeError:
        raise _RefusedError(f"expected names in UTF-8, got {text[:40]!r}") from None


def _check_tensor(data: bytes, start: int, stop: int) -> None:
    """Refuse a tensor with external data, and one with NaN or infinity."""
    dtype, raw = 0, []
    for number, wire, first, last in _fields(data, start, stop):
        if number == _EXTERNAL_DATA or (number == _DATA_LOCATION and any(data[first:last])):
            raise _RefusedError("expected a graph without external data")
        if number == _DATA_TYPE and wire == _VARINT:
            dtype = data[first]
        elif number == _RAW_DATA:
            raw.append((first, last))
        elif number == _FLOAT_DATA:
            _check_finite(data, _FLOAT32, first, last)
        elif number == _DOUBLE_DATA:
            _check_finite(data, _FLOAT64, first, last)
    for first, last in raw:
        if dtype in _EXPONENTS:
            _check_finite(data, dtype, first, last)


def _check_finite(data: bytes, dtype: int, start: int, stop: int) -> None:
    code, exponent = _EXPONENTS[dtype]
    size = int(code[-1])
    if (stop - start) % size:
        raise _RefusedError(f"expected whole numbers of {size} bytes in each tensor")
    for first in range(start, stop, _BLOCK):
        block = data[first : min(first + _BLOCK, stop)]  # a copy, which is aligned
        if dtype == _FLOAT32 and _LITTLE_ENDIAN:
            finite = _core.is_finite(np.frombuffer(block, np.float32))
        else:
            finite = not (np.frombuffer(block, code) & exponent == exponent).any()
        if not finite:
            raise _RefusedError("expected finite numbers in each tensor, got NaN or infinity")


# --- the wire format of protobuf -------------------------------------------------------------


def _fields(data: bytes, start: int, stop: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield the number, the wire type and the place of the value of each field of a message."""
    while start < stop:
        tag = data[start]
        if tag < 128:
            start += 1
        else:
            tag, start = _varint(data, start, stop, 2)
        wire = tag & 7
        if wire == _BYTES:
            size = data[start] if start < stop else 0
            if size < 128:
                start += 1
            else:
                size, start = _varint(data, start, stop, 5)
        elif wire == _VARINT:
            size = 1
            if start < stop and data[start] > 127:
                size = _varint(data, start, stop, 10)[1] - start
        elif wire in _FIXED:
            size = _FIXED[wire]
        else:
            raise _RefusedError("expected an ONNX graph, got other content")
        end = start + size
        if end > stop:
            raise _RefusedError("expected an ONNX graph, got one that is cut off")
        yield tag >> 3, wire, start, end
        start = end


def _varint(data: bytes, start: int, stop: int, most: int) -> tuple[int, int]:
    """Return a number of at most `most` bytes, and the place after it."""
    value = 0
    for shift, at in enumerate(range(start, min(start + most, stop))):
        byte = data[at]
        value |= (byte & 127) << (7 * shift)
        if byte < 128:
            return value, at + 1
    raise _RefusedError("expected an ONNX graph, got other content")

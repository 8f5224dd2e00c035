"""Write ONNX files field by field: hostile ones too, which the package onnx would not write."""

import struct
from collections.abc import Sequence


def field(number: int, value: int | float | str | bytes) -> bytes:
    """Return a field of a protobuf message: a varint, a float32, or bytes after their length."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    return bytes([*encoded, value])


def tensor(name: str, raw: bytes, *fields: bytes, dtype: int = 1) -> bytes:
    """Return a TensorProto of one axis, of float32 unless `dtype` says otherwise."""
    size = {1: 4, 7: 8, 10: 2, 11: 8, 16: 2}[dtype]
    plain = field(1, len(raw) // size), field(2, dtype), field(8, name), field(9, raw)
    return b"".join((*plain, *fields))


def external(location: str, name: str = "w") -> bytes:
    """Return a TensorProto of 4 numbers in a file."""
    entry = field(1, "location") + field(2, location)
    return b"".join([field(1, 4), field(2, 1), field(8, name), field(13, entry), field(14, 1)])


def attribute(name: str, number: int, value: int | float | str | bytes, kind: int) -> bytes:
    """Return an AttributeProto whose value is in the field `number`."""
    return field(1, name) + field(number, value) + field(20, kind)


def node(operator: str, inputs: str, outputs: str, *attributes: bytes, domain: str = "") -> bytes:
    """Return a NodeProto; `inputs` and `outputs` are names with spaces between."""
    parts = [field(1, name) for name in inputs.split()]
    parts += [field(2, name) for name in outputs.split()]
    parts += [field(4, operator), *(field(5, each) for each in attributes)]
    return b"".join(parts) + (field(7, domain) if domain else b"")


def port(name: str | bytes, *sizes: int | str, dtype: int = 1) -> bytes:
    """Return a ValueInfoProto of a tensor; a str names a size that is free."""
    dims = (field(1, field(2 if isinstance(size, str) else 1, size)) for size in sizes)
    shape = field(2, b"".join(dims))
    return field(1, name) + field(2, field(1, field(1, dtype) + shape))


def graph(
    nodes: Sequence[bytes],
    inputs: Sequence[bytes],
    outputs: Sequence[bytes],
    tensors: Sequence[bytes] = (),
) -> bytes:
    """Return a GraphProto."""
    parts = [*(field(1, each) for each in nodes), field(2, "g")]
    for number, messages in ((5, tensors), (11, inputs), (12, outputs)):
        parts += [field(number, each) for each in messages]
    return b"".join(parts)


def model(main: bytes, *fields: bytes, opset: int = 18) -> bytes:
    """Return a ModelProto."""
    parts = field(1, 8), field(7, main), field(8, field(1, "") + field(2, opset)), *fields
    return b"".join(parts)

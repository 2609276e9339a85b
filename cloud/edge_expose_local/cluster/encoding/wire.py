"""Protobuf's bytes: numbers, lengths and fields. Knows nothing of Kubernetes."""

from __future__ import annotations

import struct
from collections.abc import Iterator

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5


def varint(value: int) -> bytes:
    """Write a number; negative ones take ten bytes, as protobuf has it."""
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def number(field: int, value: int) -> bytes:
    """Write a field that holds a number."""
    return varint(field << 3 | VARINT) + varint(value)


def double(field: int, value: float) -> bytes:
    """Write a field that holds a floating point number."""
    return varint(field << 3 | FIXED64) + struct.pack("<d", value)


def chunk(field: int, value: bytes) -> bytes:
    """Write a field that holds bytes, a text or a message."""
    return varint(field << 3 | LENGTH) + varint(len(value)) + value


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ValueError("a number runs out")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, at
        shift += 7


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Read the fields of a message; raises ValueError."""
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        match tag & 7:
            case 0:
                value, at = _read_varint(data, at)
                yield tag >> 3, value
            case 2:
                size, at = _read_varint(data, at)
                if at + size > len(data):
                    raise ValueError("a field runs out")
                yield tag >> 3, data[at : at + size]
                at += size
            case 1 | 5 as kind:
                size = 8 if kind == FIXED64 else 4
                if at + size > len(data):
                    raise ValueError("a field runs out")
                yield tag >> 3, data[at : at + size]
                at += size
            case _:
                raise ValueError("an unknown wire type")

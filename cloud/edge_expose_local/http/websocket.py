"""WebSocket (RFC 6455), the server's side: the handshake, and frames on the wire."""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from edge_expose_local.http.messages import Connection, Request

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Opcode(IntEnum):
    CONTINUED = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


@dataclass(frozen=True, slots=True)
class Frame:
    """`opcode` is a number where RFC 6455 knows none; `final`: it is the last of its message."""

    final: bool
    opcode: int
    data: bytes


def offered(request: Request) -> list[str]:
    """The subprotocols that the client offers."""
    return [item.strip() for item in request.headers.get("sec-websocket-protocol", "").split(",")]


def accept(request: Request, subprotocols: Iterable[str]) -> dict[str, str] | str:
    """The headers of the answer 101 for the first of these that is offered, or why the request is no handshake."""
    headers = request.headers
    if request.method != "GET" or headers.get("upgrade", "").lower() != "websocket":
        return "this address speaks WebSocket only"
    if "upgrade" not in headers.get("connection", "").lower() or headers.get("sec-websocket-version") != "13":
        return "the handshake needs Connection: Upgrade and Sec-WebSocket-Version: 13"
    key = headers.get("sec-websocket-key", "")
    try:
        if len(base64.b64decode(key, validate=True)) != 16:
            return "Sec-WebSocket-Key is not 16 bytes in base64"
    except binascii.Error:
        return "Sec-WebSocket-Key is no base64"
    wanted, found = list(subprotocols), {item.lower(): item for item in offered(request)}
    chosen = next((found[name.lower()] for name in wanted if name.lower() in found), None)
    if chosen is None:
        return f"the subprotocol {' or '.join(wanted)} is not offered"
    digest = hashlib.sha1(f"{key}{_GUID}".encode(), usedforsecurity=False).digest()
    return {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Accept": base64.b64encode(digest).decode(),
        "Sec-WebSocket-Protocol": chosen,
    }


async def read_frame(connection: Connection, limit: int) -> Frame:
    """The next frame of a client. Raises ConnectionError for one that breaks the protocol or has more than `limit`
    bytes, and asyncio.IncompleteReadError at the end."""
    first, second = await connection.readexactly(2)
    length = second & 0x7F
    if length == 126:
        (length,) = struct.unpack("!H", await connection.readexactly(2))
    elif length == 127:
        (length,) = struct.unpack("!Q", await connection.readexactly(8))
    if not second & 0x80 or first & 0x70 or length > limit:
        raise ConnectionError("an unmasked, extended or oversized WebSocket frame")
    mask = await connection.readexactly(4)
    data = await connection.readexactly(length)
    return Frame(bool(first & 0x80), first & 0x0F, _unmask(data, mask))


def frame(opcode: Opcode, data: bytes) -> bytes:
    """A whole message as the server sends it."""
    length = len(data)
    if length < 126:
        head = bytes([0x80 | opcode, length])
    elif length < 65536:
        head = bytes([0x80 | opcode, 126]) + struct.pack("!H", length)
    else:
        head = bytes([0x80 | opcode, 127]) + struct.pack("!Q", length)
    return head + data


def _unmask(data: bytes, mask: bytes) -> bytes:
    length = len(data)
    key = int.from_bytes((mask * (length // 4 + 1))[:length], "big")
    return (int.from_bytes(data, "big") ^ key).to_bytes(length, "big")

"""The server side of a WebSocket (RFC 6455): the handshake, and binary messages as a stream of bytes."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import struct
from enum import IntEnum

from edge_expose_local.http.server import Connection, Request
from edge_expose_local.hub.transport.channel import WriterChannel

MAX_FRAME = 512 * 1024
_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Opcode(IntEnum):
    CONTINUED = 0x0
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


def accept(request: Request, subprotocol: str) -> dict[str, str] | str:
    """The headers of the answer 101, or why the request is no handshake for this subprotocol."""
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
    offered = [item.strip() for item in headers.get("sec-websocket-protocol", "").split(",")]
    if subprotocol not in (item.lower() for item in offered):
        return f"the subprotocol {subprotocol} is not offered"
    digest = hashlib.sha1(f"{key}{_GUID}".encode(), usedforsecurity=False).digest()
    return {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Accept": base64.b64encode(digest).decode(),
        "Sec-WebSocket-Protocol": subprotocol,
    }


class WebSocketChannel(WriterChannel):
    """Bytes in binary messages; where a message ends says nothing about the stream."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection.writer)
        self._connection = connection

    async def read(self) -> bytes:
        while True:
            try:
                first, second = await self._connection.readexactly(2)
                length = second & 0x7F
                if length == 126:
                    (length,) = struct.unpack("!H", await self._connection.readexactly(2))
                elif length == 127:
                    (length,) = struct.unpack("!Q", await self._connection.readexactly(8))
                if not second & 0x80 or first & 0x70 or length > MAX_FRAME:
                    raise ConnectionError("an unmasked, extended or oversized WebSocket frame")
                mask = await self._connection.readexactly(4)
                data = _unmask(await self._connection.readexactly(length), mask)
            except asyncio.IncompleteReadError:
                return b""
            match first & 0x0F:
                case Opcode.PING:
                    self._frame(Opcode.PONG, data)
                case Opcode.PONG:
                    pass
                case Opcode.CLOSE:
                    self._frame(Opcode.CLOSE, data[:2])
                    return b""
                case Opcode.BINARY | Opcode.CONTINUED:
                    if data:  # an empty message is not the end of the stream
                        return data
                case _:
                    raise ConnectionError("MQTT travels in binary WebSocket messages")

    def write(self, data: bytes) -> None:
        self._frame(Opcode.BINARY, data)

    def _frame(self, opcode: int, data: bytes) -> None:
        length = len(data)
        if length < 126:
            head = bytes([0x80 | opcode, length])
        elif length < 65536:
            head = bytes([0x80 | opcode, 126]) + struct.pack("!H", length)
        else:
            head = bytes([0x80 | opcode, 127]) + struct.pack("!Q", length)
        self._writer.write(head + data)


def _unmask(data: bytes, mask: bytes) -> bytes:
    length = len(data)
    key = int.from_bytes((mask * (length // 4 + 1))[:length], "big")
    return (int.from_bytes(data, "big") ^ key).to_bytes(length, "big")

"""WebSocket (RFC 6455), the server's side: the handshake and messages of bytes."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_CONTINUED, _CLOSE, _PING, _PONG, _BINARY = 0, 8, 9, 10, 2
_MAX = 16 * 1024 * 1024


def accepted(key: str) -> str:
    """The answer to the key of a handshake."""
    return base64.b64encode(hashlib.sha1((key + _GUID).encode(), usedforsecurity=False).digest()).decode()


class WebSocket:
    """One connection after the handshake."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self) -> bytes:
        """The next message; b"" when the other side is gone or says goodbye."""
        whole = b""
        while True:
            try:
                final, kind, data = await self._frame()
            except (asyncio.IncompleteReadError, ConnectionError, ValueError):
                return b""
            if kind == _PING:
                self._send(_PONG, data)
            elif kind == _CLOSE:
                self._send(_CLOSE, data[:2])
                return b""
            elif kind != _PONG:
                whole += data
                if final and whole:
                    return whole

    async def _frame(self) -> tuple[bool, int, bytes]:
        first, second = await self._reader.readexactly(2)
        size = second & 0x7F
        if size == 126:
            size = int.from_bytes(await self._reader.readexactly(2), "big")
        elif size == 127:
            size = int.from_bytes(await self._reader.readexactly(8), "big")
        if not second & 0x80 or size > _MAX:
            raise ValueError("an unmasked or endless frame")
        mask = await self._reader.readexactly(4)
        data = await self._reader.readexactly(size)
        whole = int.from_bytes(data, "big") ^ int.from_bytes((mask * (size // 4 + 1))[:size], "big")
        return bool(first & 0x80), first & 0x0F, whole.to_bytes(size, "big")

    def _send(self, kind: int, data: bytes) -> None:
        size = len(data)
        if size < 126:
            head = bytes([size])
        elif size < 1 << 16:
            head = bytes([126]) + size.to_bytes(2, "big")
        else:
            head = bytes([127]) + size.to_bytes(8, "big")
        self._writer.write(bytes([0x80 | kind]) + head + data)

    async def close(self) -> None:
        """Say goodbye."""
        with contextlib.suppress(ConnectionError):
            self._send(_CLOSE, (1000).to_bytes(2, "big"))
            await self._writer.drain()

    async def write(self, data: bytes) -> None:
        """Send one message."""
        self._send(_BINARY, data)
        await self._writer.drain()


class Plain:
    """The bytes of a connection as they are, with the same two methods."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self) -> bytes:
        """What came; b"" at the end."""
        try:
            return await self._reader.read(65_536)
        except ConnectionError:
            return b""

    async def write(self, data: bytes) -> None:
        """Send bytes."""
        self._writer.write(data)
        await self._writer.drain()

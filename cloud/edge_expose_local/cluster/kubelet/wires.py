"""What carries bytes to and from a client after an upgrade: the connection as it is, or messages of a WebSocket."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Protocol

from ...http.messages import Connection
from ...http.websocket import Opcode, frame, read_frame

_MAX = 16 * 1024 * 1024


class Wire(Protocol):
    """One client."""

    async def read(self) -> bytes:
        """What came; b"" when the other side is gone or says goodbye."""

    async def write(self, data: bytes) -> None: ...


class Plain:
    """The bytes of a connection as they are."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def read(self) -> bytes:
        try:
            return await self._connection.read()
        except ConnectionError:
            return b""

    async def write(self, data: bytes) -> None:
        self._connection.writer.write(data)
        await self._connection.writer.drain()


class Messages:
    """Whole messages of a WebSocket after its handshake."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def read(self) -> bytes:
        whole = b""
        while True:
            try:
                received = await read_frame(self._connection, _MAX)
            except (asyncio.IncompleteReadError, ConnectionError):
                return b""
            match received.opcode:
                case Opcode.PING:
                    await self._send(Opcode.PONG, received.data)
                case Opcode.PONG:
                    pass
                case Opcode.CLOSE:
                    await self._send(Opcode.CLOSE, received.data[:2])
                    return b""
                case _:
                    whole += received.data
                    if received.final and whole:
                        return whole

    async def write(self, data: bytes) -> None:
        await self._send(Opcode.BINARY, data)

    async def close(self) -> None:
        """Say goodbye."""
        with contextlib.suppress(ConnectionError):
            await self._send(Opcode.CLOSE, (1000).to_bytes(2, "big"))

    async def _send(self, opcode: Opcode, data: bytes) -> None:
        self._connection.writer.write(frame(opcode, data))
        await self._connection.writer.drain()

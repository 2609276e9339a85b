"""A stream of bytes in the binary messages of a WebSocket."""

from __future__ import annotations

import asyncio

from edge_expose_local.http.messages import Connection
from edge_expose_local.http.websocket import Opcode, frame, read_frame
from edge_expose_local.hub.transport.channel import WriterChannel

MAX_FRAME = 512 * 1024


class WebSocketChannel(WriterChannel):
    """Where a message ends says nothing about the stream."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection.writer)
        self._connection = connection

    async def read(self) -> bytes:
        while True:
            try:
                received = await read_frame(self._connection, MAX_FRAME)
            except asyncio.IncompleteReadError:
                return b""
            match received.opcode:
                case Opcode.PING:
                    self._frame(Opcode.PONG, received.data)
                case Opcode.PONG:
                    pass
                case Opcode.CLOSE:
                    self._frame(Opcode.CLOSE, received.data[:2])
                    return b""
                case Opcode.BINARY | Opcode.CONTINUED:
                    if received.data:  # an empty message is not the end of the stream
                        return received.data
                case _:
                    raise ConnectionError("MQTT travels in binary WebSocket messages")

    def write(self, data: bytes) -> None:
        self._frame(Opcode.BINARY, data)

    def _frame(self, opcode: Opcode, data: bytes) -> None:
        self._writer.write(frame(opcode, data))

"""One connection: requests in, answers out.

h11 reads what comes from outside, one reader for each request; answers are ours, and are written here in one piece.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

import h11

from edge_expose_local.http.messages import Connection, Request, Response

MAX_HEAD = 64 * 1024
MAX_BODY = 4 * 1024 * 1024
_CHUNK = 65536
_REASONS = {status.value: status.phrase for status in HTTPStatus}


class BadRequestError(Exception):
    """What came is no request."""


class Exchange:
    """`waiting_since` is the time of the loop at which it began to wait for a request, None while one is answered."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._rest = b""
        self._goes_on = True
        self._now = asyncio.get_running_loop().time
        self.waiting_since: float | None = None

    def abort(self) -> None:
        """Ends the connection at once."""
        self._writer.transport.abort()

    async def request(self) -> Request | None:
        """The next request, or None when the peer is done. Raises BadRequestError."""
        self.waiting_since = self._now()
        wire = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        if self._rest:
            wire.receive_data(self._rest)
        try:
            found = await self._read(wire)
        except h11.RemoteProtocolError as error:
            raise BadRequestError(str(error)) from error
        self._rest = wire.trailing_data[0]
        self.waiting_since = None
        return found

    async def _read(self, wire: h11.Connection) -> Request | None:
        head = await self._event(wire)
        if not isinstance(head, h11.Request):
            return None
        target = head.target.decode("latin-1")
        if not target.startswith("/"):
            raise BadRequestError("the request line names no path")
        path, _, query = target.partition("?")
        headers = tuple([(name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers])
        last = dict(headers)
        self._goes_on = head.http_version == b"1.1" and "close" not in last.get("connection", "").lower()
        arguments = parse_qs(query, keep_blank_values=True) if query else {}
        body = await self._body(wire) if "content-length" in last or "transfer-encoding" in last else b""
        return Request(head.method.decode("latin-1").upper(), path, arguments, last, body, headers)

    async def _body(self, wire: h11.Connection) -> bytes:
        body = b""
        while isinstance(part := await self._event(wire), h11.Data):
            body += part.data
            if len(body) > MAX_BODY:
                raise BadRequestError("the body is too large")
        return body

    async def _event(self, wire: h11.Connection) -> Any:
        while (event := wire.next_event()) is h11.NEED_DATA:
            if wire.they_are_waiting_for_100_continue:
                self._writer.write(_head(100, {}))
                wire.send(h11.InformationalResponse(status_code=100, headers=[]))
            wire.receive_data(await self._reader.read(_CHUNK))
        return event

    async def answer(self, response: Response, close: bool, head_only: bool) -> bool:
        """Sends it; whether another request may follow."""
        close = close or not self._goes_on
        headers = {**response.headers, "Connection": "close"} if close else response.headers
        if response.stream is not None:
            self._writer.write(_head(response.status, {**headers, "Transfer-Encoding": "chunked"}))
            await self._pump(response.stream)
            self._writer.write(b"0\r\n\r\n")
        elif response.status == 204:
            self._writer.write(_head(204, headers))
        else:
            head = _head(response.status, {**headers, "Content-Length": str(len(response.body))})
            self._writer.write(head if head_only else head + response.body)
        await self._writer.drain()
        return not close

    async def _pump(self, stream: AsyncGenerator[bytes, None]) -> None:
        """Stops at once when the peer goes away (or sends more, which nobody does before a stream's end)."""

        async def chunks() -> None:
            async for chunk in stream:
                if chunk:
                    self._writer.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
                    await self._writer.drain()

        pumping = asyncio.ensure_future(chunks())
        gone = asyncio.ensure_future(self._reader.read(1))
        try:
            await asyncio.wait({pumping, gone}, return_when=asyncio.FIRST_COMPLETED)
            if gone.done():
                raise ConnectionResetError("the peer is gone")
            await pumping
        finally:
            for task in (pumping, gone):
                task.cancel()
            await asyncio.gather(pumping, gone, return_exceptions=True)
            await stream.aclose()

    async def upgrade(self, response: Response) -> None:
        """Sends the 101 and hands the connection over until the other protocol is done."""
        assert response.upgrade is not None
        self._writer.write(_head(101, response.headers))
        await response.upgrade(Connection(self._rest, self._reader, self._writer))

    async def refuse(self, why: str) -> None:
        await self.answer(Response(400, why.encode(), {"Content-Type": "text/plain"}), True, False)


def _head(status: int, headers: dict[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Unknown')}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    text = "\r\n".join(lines)
    if text.count("\n") != len(headers):
        raise ValueError("a header of an answer holds a line break")
    return f"{text}\r\n\r\n".encode("latin-1")

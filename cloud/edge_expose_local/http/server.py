"""An HTTP/1.1 server for one handler: whole or streamed answers, protocol upgrades, and rough handling on purpose.

h11 reads and writes the wire format; this file moves the bytes. It is no framework because faults need the wire: hang,
close without an answer, empty bodies. Bad input from the network closes that connection and harms nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, unquote

import h11

from edge_expose_local.http import json_text

MAX_HEAD = 32 * 1024
MAX_BODY = 4 * 1024 * 1024
IDLE_SECONDS = 120.0
CHUNK = 65536
log = logging.getLogger("edge_expose_local.http")


@dataclass(frozen=True, slots=True)
class Request:
    """`path` is as it came; `segments` are its percent-decoded parts. Header names are in lower case, the last wins."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def segments(self) -> list[str]:
        return [unquote(part, errors="strict") for part in self.path.split("/") if part]

    def json(self) -> Any:
        """Raises ValueError for anything but JSON."""
        return json_text.loads(self.body)


class Connection:
    """The bytes of a connection that was upgraded, those that came along with the request first."""

    def __init__(self, first: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._first = first
        self._reader = reader
        self.writer = writer

    async def readexactly(self, count: int) -> bytes:
        """Raises asyncio.IncompleteReadError at the end."""
        taken, self._first = self._first[:count], self._first[count:]
        return taken + await self._reader.readexactly(count - len(taken))


@dataclass(frozen=True, slots=True)
class Response:
    """A whole `body`, or chunks of a `stream`. `upgrade` takes the connection over after a 101 and ends with it."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    close: bool = False
    stream: AsyncGenerator[bytes, None] | None = None
    upgrade: Callable[[Connection], Awaitable[None]] | None = None


Handler = Callable[[Request], Awaitable["Response | None"]]


def json_response(status: int, value: Any, headers: dict[str, str] | None = None) -> Response:
    return Response(
        status, json.dumps(value).encode(), {"Content-Type": "application/json; charset=utf-8", **(headers or {})}
    )


class _BadRequestError(Exception):
    pass


class _Exchange:
    """One connection: requests in, answers out."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._wire = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)

    async def _event(self) -> Any:
        while True:
            try:
                event = self._wire.next_event()
            except h11.RemoteProtocolError as error:
                raise _BadRequestError(str(error)) from error
            if event is not h11.NEED_DATA:
                return event
            if self._wire.they_are_waiting_for_100_continue:
                self._send(h11.InformationalResponse(status_code=100, headers=[]))
            try:
                self._wire.receive_data(await self._reader.read(CHUNK))
            except h11.RemoteProtocolError as error:
                raise _BadRequestError(str(error)) from error

    def _send(self, event: Any) -> None:
        data = self._wire.send(event)
        if data:
            self._writer.write(data)

    async def request(self) -> Request | None:
        """The next request, or None when the peer is done. Raises _BadRequestError."""
        head = await self._event()
        if not isinstance(head, h11.Request):
            return None
        body = bytearray()
        while isinstance(part := await self._event(), h11.Data):
            body += part.data
            if len(body) > MAX_BODY:
                raise _BadRequestError("the body is too large")
        target = head.target.decode("latin-1")
        if not target.startswith("/"):
            raise _BadRequestError("the request line names no path")
        path, _, query = target.partition("?")
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers}
        pairs = dict(parse_qsl(query, keep_blank_values=True))
        return Request(head.method.decode("latin-1").upper(), path, pairs, headers, bytes(body))

    async def answer(self, response: Response, close: bool, head_only: bool) -> bool:
        """Sends it; whether another request may follow."""
        headers = dict(response.headers)
        if response.stream is None and response.status != 204:
            headers["Content-Length"] = str(len(response.body))
        if close:
            headers["Connection"] = "close"
        self._send(
            h11.Response(status_code=response.status, headers=_encoded(headers), reason=_reason(response.status))
        )
        if response.stream is not None:
            await self._pump(response.stream)
        elif response.body and not head_only and response.status != 204:
            self._send(h11.Data(data=response.body))
        self._send(h11.EndOfMessage())
        await self._writer.drain()
        if self._wire.our_state is not h11.DONE or self._wire.their_state is not h11.DONE:
            return False
        self._wire.start_next_cycle()
        return True

    async def _pump(self, stream: AsyncGenerator[bytes, None]) -> None:
        """Stops at once when the peer goes away (or sends more, which nobody does before a stream's end)."""

        async def chunks() -> None:
            async for chunk in stream:
                if chunk:
                    self._send(h11.Data(data=chunk))
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
        assert response.upgrade is not None
        head = h11.InformationalResponse(status_code=101, headers=_encoded(response.headers), reason=_reason(101))
        self._send(head)
        await response.upgrade(Connection(self._wire.trailing_data[0], self._reader, self._writer))

    async def refuse(self, why: str) -> None:
        """400, where the wire is still in a state for an answer."""
        if self._wire.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            await self.answer(Response(400, why.encode(), {"Content-Type": "text/plain"}), True, False)


def _encoded(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


def _reason(status: int) -> bytes:
    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:
        return b"Unknown"


class HttpServer:
    """Serves one handler on any number of listeners; `close` ends every connection at once."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._writers: set[asyncio.StreamWriter] = set()

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """The callback for asyncio.start_server."""
        self._writers.add(writer)
        exchange = _Exchange(reader, writer)
        try:
            while await self._one(exchange):
                pass
        except (OSError, asyncio.IncompleteReadError, TimeoutError, h11.LocalProtocolError):
            pass
        except asyncio.CancelledError:
            pass  # the process is going down
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _one(self, exchange: _Exchange) -> bool:
        try:
            async with asyncio.timeout(IDLE_SECONDS):
                request = await exchange.request()
        except _BadRequestError as error:
            with contextlib.suppress(h11.LocalProtocolError):
                await exchange.refuse(str(error))
            return False
        if request is None:
            return False
        try:
            response = await self._handler(request)
        except Exception:
            log.exception("%s %s failed", request.method, request.path)
            response = json_response(500, {"Message": "ErrorCode:ServerError;internal error"})
        if response is None:
            return False
        if response.upgrade is not None:
            await exchange.upgrade(response)
            return False
        return await exchange.answer(response, response.close, request.method == "HEAD")

    def close(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

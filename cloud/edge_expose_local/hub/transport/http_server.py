"""A small HTTP/1.1 server on asyncio streams, shared by the service API, the workload API and the control socket.

Own code instead of a framework because faults need the wire: hang, close without an answer, empty bodies. Bad input
from the network closes that connection and harms nothing else.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, unquote

from edge_expose_local.hub.transport import json_text

MAX_HEAD = 32 * 1024
MAX_BODY = 4 * 1024 * 1024
IDLE_SECONDS = 120.0
log = logging.getLogger("edge_expose_local.hub.http")


@dataclass(frozen=True, slots=True)
class Request:
    """`segments` are the percent-decoded parts of the path; header names are in lower case."""

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


Upgrade = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Response:
    """`upgrade` takes the connection over after the head of a 101 was sent, and ends with it."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    close: bool = False
    upgrade: Upgrade | None = None


Handler = Callable[[Request], Awaitable["Response | None"]]


def json_response(status: int, value: Any, headers: dict[str, str] | None = None) -> Response:
    return Response(
        status, json.dumps(value).encode(), {"Content-Type": "application/json; charset=utf-8", **(headers or {})}
    )


class _BadRequestError(Exception):
    pass


async def _read_chunked(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while True:
        line = await reader.readline()
        try:
            size = int(line.split(b";")[0].strip(), 16)
        except ValueError as error:
            raise _BadRequestError("bad chunk size") from error
        if size < 0 or len(body) + size > MAX_BODY:
            raise _BadRequestError("the body is too large")
        if size == 0:
            while (await reader.readline()).strip():
                pass
            return bytes(body)
        body += await reader.readexactly(size)
        await reader.readexactly(2)


async def read_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Request | None:
    """The next request, or None when the peer is done. Raises _BadRequestError."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial.strip():
            raise _BadRequestError("the head is incomplete") from error
        return None
    except asyncio.LimitOverrunError as error:
        raise _BadRequestError("the head is too large") from error
    lines = head.decode("latin-1").split("\r\n")
    parts = lines[0].split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1.") or not parts[1].startswith("/"):
        raise _BadRequestError("the request line is not HTTP/1.1")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        if not line:
            continue
        name, colon, value = line.partition(":")
        if not colon or name != name.strip():
            raise _BadRequestError("a header line has no name")
        headers[name.lower()] = value.strip()
    if "100-continue" in headers.get("expect", "").lower():
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    if "chunked" in headers.get("transfer-encoding", "").lower():
        body = await _read_chunked(reader)
    else:
        text = headers.get("content-length", "0")
        if not text.isdigit() or int(text) > MAX_BODY:
            raise _BadRequestError("Content-Length is no number or too large")
        body = await reader.readexactly(int(text))
    path, _, query = parts[1].partition("?")
    return Request(parts[0].upper(), path, dict(parse_qsl(query, keep_blank_values=True)), headers, body)


def _encode(response: Response, close: bool, head_only: bool) -> bytes:
    try:
        reason = HTTPStatus(response.status).phrase
    except ValueError:
        reason = "Unknown"
    headers = {**response.headers, "Connection": "close" if close else "keep-alive"}
    if response.status != 204:
        headers["Content-Length"] = str(len(response.body))
    lines = [f"HTTP/1.1 {response.status} {reason}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (b"" if head_only else response.body)


class HttpServer:
    """Serves one handler on any number of listeners; `close` ends every connection at once."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._writers: set[asyncio.StreamWriter] = set()

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """The callback for asyncio.start_server."""
        self._writers.add(writer)
        try:
            while await self._exchange(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, TimeoutError, ValueError):
            pass
        except asyncio.CancelledError:
            pass  # the process is going down
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        try:
            async with asyncio.timeout(IDLE_SECONDS):
                request = await read_request(reader, writer)
        except _BadRequestError as error:
            writer.write(_encode(Response(400, str(error).encode(), {"Content-Type": "text/plain"}), True, False))
            await writer.drain()
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
            lines = [f"{name}: {value}" for name, value in response.headers.items()]
            writer.write("\r\n".join(["HTTP/1.1 101 Switching Protocols", *lines, "", ""]).encode("latin-1"))
            await response.upgrade(reader, writer)
            return False
        close = response.close or request.headers.get("connection", "").lower() == "close"
        writer.write(_encode(response, close, request.method == "HEAD"))
        await writer.drain()
        return not close

    def close(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

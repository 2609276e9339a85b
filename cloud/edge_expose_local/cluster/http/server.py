"""A small HTTP/1.1 server: keep-alive, bodies by length or chunks, streamed answers, nothing else.

One connection is one task. A streamed answer is stopped at once when the client goes away, so that
thousands of watches cost nothing but their buffers. Garbage on a connection closes that connection only.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

MAX_HEAD = 65_536
MAX_BODY = 3 * 1024 * 1024
IDLE_SECONDS = 120.0


@dataclass(slots=True)
class Request:
    """One request; header names are in lower case. `headers` holds the last of each name, `every_header` all."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes
    every_header: tuple[tuple[str, str], ...] = ()

    def arg(self, name: str, default: str = "") -> str:
        """Return the first value of a query argument."""
        return self.query.get(name, [default])[0]

    def flag(self, name: str) -> bool:
        """Tell whether a query argument is true as Kubernetes reads booleans."""
        return self.arg(name) in ("true", "1")


@dataclass(slots=True)
class Response:
    """One answer: a whole body, chunks from `stream`, or another protocol on the same connection."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    stream: AsyncGenerator[bytes, None] | None = None
    upgraded: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]] | None = None
    """Takes the connection over after an answer with 101."""


class Hangup(Exception):
    """Raised by a handler to close the connection without an answer."""


class BadRequest(Exception):
    """The bytes on the wire are no HTTP request."""


Handler = Callable[[Request], Awaitable[Response]]


def json_response(document: Any, status: int = 200) -> Response:
    """Return a JSON answer."""
    return Response(status, json.dumps(document, separators=(",", ":")).encode() + b"\n")


def tcp_socket(host: str, port: int) -> socket.socket:
    """Bind a listening TCP socket, with IPPROTO_TCP so that accepted ones get TCP_NODELAY."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
        sock.listen(512)
    except OSError as error:
        sock.close()
        raise OSError(error.errno, f"cannot listen on {host}:{port}: {error.strerror}") from error
    sock.setblocking(False)
    return sock


class HttpServer:
    """Serves one handler on sockets given to `listen`."""

    def __init__(self, handler: Handler, tls: ssl.SSLContext | None = None) -> None:
        self._handler = handler
        self._tls = tls
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def listen(self, sock: socket.socket) -> None:
        """Start serving on a bound socket (TCP or unix)."""
        if self._tls is not None:
            server = await asyncio.start_server(
                self._connected,
                sock=sock,
                ssl=self._tls,
                limit=MAX_HEAD,
                ssl_handshake_timeout=10,
                ssl_shutdown_timeout=0.5,
            )
        elif sock.family == socket.AF_UNIX:
            server = await asyncio.start_unix_server(self._connected, sock=sock, limit=MAX_HEAD)
        else:
            server = await asyncio.start_server(self._connected, sock=sock, limit=MAX_HEAD)
        self._servers.append(server)

    @property
    def listening(self) -> bool:
        """Tell whether any socket is being served."""
        return bool(self._servers)

    async def close(self) -> None:
        """Stop listening and drop every connection."""
        for server in self._servers:
            server.close()
        self._servers.clear()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=1.0)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, TimeoutError, asyncio.IncompleteReadError, ssl.SSLError, Hangup):
            pass
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            if task is not None:
                self._tasks.discard(task)
            with contextlib.suppress(Exception):
                writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        try:
            async with asyncio.timeout(IDLE_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
            request = _parse(head)
            async with asyncio.timeout(IDLE_SECONDS):
                request.body = await _body(request, reader, writer)
        except (BadRequest, asyncio.LimitOverrunError, ValueError):
            writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            return False
        response = await self._handler(request)
        keep = request.headers.get("connection", "").lower() != "close"
        if response.upgraded is not None:
            lines = [f"HTTP/1.1 {response.status} Switching Protocols"]
            lines += [f"{name}: {value}" for name, value in response.headers.items()]
            writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
            await writer.drain()
            await response.upgraded(reader, writer)
            return False
        if response.stream is not None:
            await _stream(response, reader, writer)
            return keep
        head_out = _head(response, {"Content-Length": str(len(response.body))})
        writer.write(head_out if request.method == "HEAD" else head_out + response.body)
        await writer.drain()
        return keep


def _head(response: Response, extra: dict[str, str]) -> bytes:
    try:
        phrase = HTTPStatus(response.status).phrase
    except ValueError:
        phrase = "Unknown"
    lines = [f"HTTP/1.1 {response.status} {phrase}", f"Content-Type: {response.content_type}"]
    lines += [f"{name}: {value}" for name, value in (response.headers | extra).items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


async def _stream(response: Response, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    assert response.stream is not None
    writer.write(_head(response, {"Transfer-Encoding": "chunked"}))
    await writer.drain()

    async def pump() -> None:
        assert response.stream is not None
        async for chunk in response.stream:
            if chunk:
                writer.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
                await writer.drain()
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    pumping = asyncio.ensure_future(pump())
    gone = asyncio.ensure_future(reader.read(1))
    try:
        await asyncio.wait({pumping, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not pumping.done():
            raise Hangup
        await pumping
        if gone.done():  # pipelined bytes after a stream: nobody does that, so the connection ends
            raise Hangup
        gone.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await gone
    finally:
        for task in (pumping, gone):
            task.cancel()
        with contextlib.suppress(BaseException):
            await asyncio.gather(pumping, gone, return_exceptions=True)
        with contextlib.suppress(Exception):
            await response.stream.aclose()


def _parse(head: bytes) -> Request:
    lines = head.decode("latin-1").split("\r\n")
    parts = lines[0].split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise BadRequest
    headers: list[tuple[str, str]] = []
    for line in lines[1:]:
        if not line:
            break
        name, colon, value = line.partition(":")
        if not colon:
            raise BadRequest
        headers.append((name.strip().lower(), value.strip()))
    split = urlsplit(parts[1])
    query = parse_qs(split.query, keep_blank_values=True)
    return Request(parts[0], unquote(split.path), query, dict(headers), b"", tuple(headers))


async def _body(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    if request.headers.get("expect", "").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    if "chunked" in request.headers.get("transfer-encoding", "").lower():
        chunks: list[bytes] = []
        total = 0
        while True:
            size = int((await reader.readuntil(b"\r\n")).split(b";")[0], 16)
            total += size
            if size < 0 or total > MAX_BODY:
                raise BadRequest
            data = await reader.readexactly(size + 2)
            if size == 0:
                return b"".join(chunks)
            chunks.append(data[:-2])
    length = int(request.headers.get("content-length") or 0)
    if not 0 <= length <= MAX_BODY:
        raise BadRequest
    return await reader.readexactly(length) if length else b""

"""The HTTP server on its own: what it reads, what it refuses, streams, upgrades, and connections that go away."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable

import pytest

from edge_expose_local.http.exchange import MAX_BODY
from edge_expose_local.http.messages import Connection, Request, Response, json_response
from edge_expose_local.http.server import HttpServer
from edge_expose_local.sockets import tcp_socket
from support.waiting import PATIENCE

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def echo(request: Request) -> Response | None:
    match request.path:
        case "/nothing":
            return Response(204)
        case "/hang-up":
            return None
        case "/fails":
            raise RuntimeError("inside")
        case "/close":
            return Response(200, b"bye", close=True)
        case _:
            seen = [request.method, request.segments, request.query, request.body.decode()]
            return json_response(200, seen, {"X-Seen": request.headers.get("x-tell", "")})


def serve(
    talk: Talk, handler: Callable[[Request], Awaitable[Response | None]] = echo, idle_seconds: float = 120.0
) -> None:
    async def run() -> None:
        server = HttpServer(handler, idle_seconds)
        listening = tcp_socket("127.0.0.1", 0)
        host, port = listening.getsockname()
        await server.listen(listening)
        reader, writer = await asyncio.open_connection(host, port)
        async with asyncio.timeout(PATIENCE):
            await talk(reader, writer)
        writer.close()
        await server.close()

    asyncio.run(run())


async def answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
    return int(head[0].split(" ")[1]), headers, await reader.readexactly(int(headers.get("content-length", "0")))


def head(line: str, *headers: str) -> bytes:
    return "\r\n".join([f"{line} HTTP/1.1", "Host: x", *headers, "", ""]).encode()


def test_requests_one_after_the_other_and_pipelined() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            writer.write(head("GET /a%2Fb//c?x=1&y=&x=2", "X-Tell: it", "X-TELL: that"))
        writer.write(head("POST /p", "Content-Length: 3") + b"abc" + head("DELETE /nothing"))
        for _ in range(2):
            status, headers, body = await answer(reader)
            assert (status, headers["x-seen"]) == (200, "that")
            assert json.loads(body) == ["GET", ["a/b", "c"], {"x": ["1", "2"], "y": [""]}, ""]
        assert json.loads((await answer(reader))[2])[3] == "abc"
        status, headers, _ = await answer(reader)
        assert (status, "content-length" in headers) == (204, False)

    serve(talk)


def test_bodies_in_chunks_and_those_that_wait_for_leave() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(
            head("PUT /p", "Transfer-Encoding: chunked") + b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrail: er\r\n\r\n"
        )
        assert json.loads((await answer(reader))[2])[3] == "abcde"
        writer.write(head("PUT /p", "Content-Length: 2", "Expect: 100-continue"))
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"hi")
        assert json.loads((await answer(reader))[2])[3] == "hi"
        writer.write(head("HEAD /p") + head("GET /p"))
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK")
        assert json.loads((await answer(reader))[2])[0] == "GET"

    serve(talk)


GARBAGE = {
    "no HTTP at all": b"\x16\x03\x01 hello\r\n\r\n",
    "no path": head("GET http://x/"),
    "a header without a name": head("GET /", ": x"),
    "two lengths": head("POST /", "Content-Length: 3", "Content-Length: 4") + b"abcd",
    "a length below nothing": head("POST /", "Content-Length: -5"),
    "an endless head": b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 20_000,
    "a chunk without a size": head("POST /", "Transfer-Encoding: chunked") + b"zz\r\n",
    "a body that is too large": head("POST /", "Transfer-Encoding: chunked")
    + (b"%x\r\n" % (MAX_BODY + 1))
    + b"x" * (MAX_BODY + 1)
    + b"\r\n",
}


@pytest.mark.parametrize("data", GARBAGE.values(), ids=GARBAGE.keys())
def test_garbage_is_400_and_the_end_of_that_connection(data: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        try:
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 400 Bad Request")
            await reader.read()
        except ConnectionError:
            assert len(data) > 65536  # it stopped reading in the middle

    serve(talk)


@pytest.mark.parametrize("path", ["/hang-up", "/close"])
def test_a_connection_ends_when_the_handler_says_so(path: str) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head(f"GET {path}") + head("GET /more"))
        rest = await reader.read()
        assert rest.count(b"HTTP/1.1") == (1 if path == "/close" else 0)

    serve(talk)


def test_a_handler_that_fails_is_500_and_the_connection_goes_on() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head("GET /fails") + head("GET /p", "Connection: close"))
        assert (await answer(reader))[0] == 500
        assert (await answer(reader))[0] == 200
        assert await reader.read() == b""

    serve(talk)


def test_a_stream_goes_out_in_chunks_and_ends_when_the_peer_leaves() -> None:
    ended = asyncio.Event()

    async def ticks(count: int | None) -> AsyncGenerator[bytes, None]:
        try:
            number = 0
            while count is None or number < count:
                number += 1
                yield b"tick"
                await asyncio.sleep(0)
            if count is None:
                await asyncio.Event().wait()
        finally:
            ended.set()

    async def handler(request: Request) -> Response:
        return Response(200, stream=ticks(3 if request.path == "/short" else None))

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head("GET /short"))
        assert b"chunked" in (await reader.readuntil(b"\r\n\r\n")).lower()
        assert await reader.readuntil(b"0\r\n\r\n") == b"4\r\ntick\r\n" * 3 + b"0\r\n\r\n"
        ended.clear()
        writer.write(head("GET /endless"))
        await reader.readuntil(b"tick")
        writer.close()
        await ended.wait()

    serve(talk, handler)


def test_an_upgraded_connection_keeps_what_came_along() -> None:
    async def double(connection: Connection) -> None:
        for _ in range(2):
            connection.writer.write((await connection.readexactly(3)) * 2)
        await connection.writer.drain()

    async def handler(request: Request) -> Response:
        return Response(101, headers={"Upgrade": "doubling", "Connection": "Upgrade"}, upgrade=double)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head("GET /up", "Upgrade: doubling", "Connection: Upgrade") + b"abcd")
        first = await reader.readuntil(b"\r\n\r\n")
        assert first.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
        writer.write(b"ef")
        assert await reader.read() == b"abcabcdefdef"

    serve(talk, handler)


def test_a_refused_upgrade_is_an_answer_like_any_other() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head("GET /up", "Upgrade: websocket", "Connection: Upgrade") + head("GET /next"))
        assert json.loads((await answer(reader))[2])[1] == ["up"]
        assert json.loads((await answer(reader))[2])[1] == ["next"]

    serve(talk)


def test_a_client_of_http_1_0_is_answered_once() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"GET /old HTTP/1.0\r\n\r\n")
        _, headers, body = await answer(reader)
        assert (headers["connection"], json.loads(body)[1]) == ("close", ["old"])
        assert await reader.read() == b""

    serve(talk)


def test_a_connection_on_which_nothing_is_asked_is_dropped() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head("GET /p") + b"GET /half HTTP/1.1\r\n")
        await answer(reader)
        assert await reader.read() == b""

    serve(talk, idle_seconds=0.2)


def test_a_server_that_closes_waits_for_no_handler() -> None:
    async def run() -> None:
        begun = asyncio.Event()

        async def hangs(_: Request) -> Response:
            begun.set()
            await asyncio.Event().wait()
            raise AssertionError

        server, listening = HttpServer(hangs), tcp_socket("127.0.0.1", 0)
        await server.listen(listening)
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        writer.write(head("GET /"))
        async with asyncio.timeout(PATIENCE):
            await begun.wait()
            await server.close()
            assert await reader.read() == b""
        assert not server.listening
        writer.close()

    asyncio.run(run())


def test_an_answer_with_a_line_break_in_a_header_does_not_go_out() -> None:
    async def handler(_: Request) -> Response:
        return Response(200, b"", {"X-Text": "one\r\nX-Other: two"})

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head("GET /"))
        assert b"X-Other" not in await reader.read()

    serve(talk, handler)

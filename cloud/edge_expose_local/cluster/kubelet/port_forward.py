"""port-forward: carries connections of a client to ports of a pod, over SPDY, over SPDY in a WebSocket (as kubectl does
it), or over the channels of a WebSocket (as other clients do)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field

from ...http.messages import Connection, Request, Response
from ...http.websocket import accept, offered
from ..encoding import spdy
from ..kinds.errors import bad_request
from .wires import Messages, Plain, Wire

_PROTOCOL = "portforward.k8s.io"
_TUNNEL = f"SPDY/3.1+{_PROTOCOL}"
_CHANNELS = ("v4.channel.k8s.io", _PROTOCOL)
_CHUNK = 16_384
Place = Callable[[int], tuple[str, int] | None]
"""Where a port of the pod really listens."""


def forward(request: Request, place: Place, pod: str) -> Response:
    """The answer that hands the connection over; raises 400 for a client that asks for no known protocol."""
    asked = offered(request)
    match request.headers.get("upgrade", "").lower():
        case "websocket" if _TUNNEL in asked:
            return _websocket(request, _TUNNEL, lambda wire: _spdy(wire, place, pod))
        case "websocket" if known := [name for name in _CHANNELS if name in asked]:
            ports = [
                int(port) for value in request.query.get("ports", []) for port in value.split(",") if port.isdigit()
            ]
            return _websocket(request, known[0], lambda wire: _channels(wire, ports, place, pod))
        case "spdy/3.1":
            versions = request.headers.get("x-stream-protocol-version", _PROTOCOL)
            headers = {"Connection": "Upgrade", "Upgrade": "SPDY/3.1", "X-Stream-Protocol-Version": _PROTOCOL}
            if _PROTOCOL not in versions:
                raise bad_request(
                    f"unable to negotiate protocol: client supports {versions}, server accepts {_PROTOCOL}"
                )
            return Response(101, headers=headers, upgrade=lambda connection: _spdy(Plain(connection), place, pod))
    raise bad_request("unable to upgrade: missing upgrade headers in request")


def _websocket(request: Request, protocol: str, serve: Callable[[Wire], Awaitable[None]]) -> Response:
    headers = accept(request, [protocol])
    if isinstance(headers, str):
        raise bad_request(headers)

    async def served(connection: Connection) -> None:
        messages = Messages(connection)
        await serve(messages)
        await messages.close()

    return Response(101, headers=headers, upgrade=served)


@dataclass(slots=True)
class _Connection:
    """One connection to a port of the pod."""

    send: Callable[[bytes, bool], Awaitable[None]]
    """Sends bytes to the client; True: they are the last."""
    fail: Callable[[str], Awaitable[None]]
    incoming: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue)
    """What the client sends; b"" is its end."""

    async def run(self, port: int, place: Place, pod: str) -> None:
        where = place(port)
        try:
            if where is None:
                raise OSError("no container of it declares the port")
            reader, writer = await asyncio.open_connection(*where)
        except OSError as error:
            await self.fail(f"error forwarding port {port} to pod {pod}, uid : {error}")
            await self.send(b"", True)
            return
        try:
            outgoing = asyncio.ensure_future(self._upwards(writer))
            while data := await reader.read(_CHUNK):
                await self.send(data, False)
            outgoing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await outgoing
        except ConnectionError:
            pass
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await self.fail("")
                await self.send(b"", True)

    async def _upwards(self, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await self.incoming.get():
                writer.write(data)
                await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()


async def _spdy(wire: Wire, place: Place, pod: str) -> None:
    session, lock = spdy.Session(), asyncio.Lock()
    errors: dict[str, int] = {}
    connections: dict[int, _Connection] = {}

    async def write(data: bytes) -> None:
        async with lock:
            await wire.write(data)

    def opened(frame: spdy.Frame) -> _Connection:
        error_stream = errors.pop(frame.header("requestid"), 0)

        async def send(data: bytes, last: bool) -> None:
            await write(session.data(frame.stream, data, last=last))

        async def fail(text: str) -> None:
            if error_stream:
                await write(session.data(error_stream, text.encode(), last=True))

        return _Connection(send, fail)

    async with _Tasks() as tasks:
        while data := await wire.read():
            for frame in session.feed(data):
                match frame.kind:
                    case spdy.SYN_STREAM:
                        await write(session.reply(frame.stream))
                        if frame.header("streamtype") == "error":
                            errors[frame.header("requestid")] = frame.stream
                        else:
                            connection = connections[frame.stream] = opened(frame)
                            tasks.start(connection.run(int(frame.header("port") or 0), place, pod))
                    case 0 if frame.stream in connections:
                        if frame.data:
                            connections[frame.stream].incoming.put_nowait(frame.data)
                        if frame.flags & spdy.FIN:
                            connections.pop(frame.stream).incoming.put_nowait(b"")
                    case spdy.RST_STREAM if frame.stream in connections:
                        connections.pop(frame.stream).incoming.put_nowait(b"")
                    case spdy.PING:
                        await write(session.pong(frame))
                    case spdy.GOAWAY:
                        return


async def _channels(wire: Wire, ports: list[int], place: Place, pod: str) -> None:
    """Two channels for each port that the query names, data and errors; each begins with the number of its port."""
    connections: list[_Connection] = []

    def opened(number: int) -> _Connection:
        async def send(data: bytes, last: bool) -> None:
            if data:
                await wire.write(bytes([2 * number]) + data)

        async def fail(text: str) -> None:
            if text:
                await wire.write(bytes([2 * number + 1]) + text.encode())

        return _Connection(send, fail)

    async def incoming() -> None:
        while data := await wire.read():
            number, is_error = divmod(data[0], 2)
            if number < len(connections) and not is_error and data[1:]:
                connections[number].incoming.put_nowait(data[1:])

    async with _Tasks() as tasks:
        for number, port in enumerate(ports):
            for channel in (2 * number, 2 * number + 1):
                await wire.write(bytes([channel]) + port.to_bytes(2, "little"))
            connections.append(opened(number))
            tasks.start(connections[number].run(port, place, pod))
        reading = tasks.start(incoming())
        await tasks.until_alone(reading)


class _Tasks:
    """Connections that end with the client's own."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def until_alone(self, last: asyncio.Task[None]) -> None:
        """Wait until this one ends, or all others have."""
        while not last.done() and self._running - {last}:
            await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)

    async def __aenter__(self) -> _Tasks:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in list(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

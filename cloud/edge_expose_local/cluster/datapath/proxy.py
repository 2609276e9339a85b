"""What the forwarder does with one listener: TCP connections and UDP datagrams to endpoints picked by a chooser."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from typing import cast

Place = tuple[str, int]
Chooser = Callable[[str], Place | None]
"""Given the client's address, where to go; None refuses."""

_UDP_IDLE = 60.0
_MAX_FLOWS = 1024
_LINGER_RST = struct.pack("ii", 1, 0)


def reset(transport: asyncio.BaseTransport) -> None:
    """End a TCP connection with RST."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RST)
    cast(asyncio.WriteTransport, transport).abort()


class _Half(asyncio.Protocol):
    """One side of a forwarded connection."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.peer: _Half | None = None
        self._early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def join(self, peer: _Half) -> None:
        """Couple both sides and pass on what came early."""
        self.peer, peer.peer = peer, self
        for data in self._early:
            assert peer.transport is not None
            peer.transport.write(data)
        self._early.clear()
        if self.transport is not None:
            self.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        if self.peer is not None and self.peer.transport is not None:
            self.peer.transport.write(data)
        else:
            self._early.append(data)

    def eof_received(self) -> bool:
        if self.peer is not None and self.peer.transport is not None and self.peer.transport.can_write_eof():
            with contextlib.suppress(OSError):
                self.peer.transport.write_eof()
            return True
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if self.peer is not None and self.peer.transport is not None:
            if exc is not None:
                reset(self.peer.transport)
            else:
                self.peer.transport.close()

    def pause_writing(self) -> None:
        if self.peer is not None and self.peer.transport is not None:
            self.peer.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.peer is not None and self.peer.transport is not None:
            self.peer.transport.resume_reading()


class _Accepted(_Half):
    def __init__(self, choose: Chooser, live: set[asyncio.BaseTransport]) -> None:
        super().__init__()
        self._choose = choose
        self._live = live

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._live.add(transport)
        place = self._choose(str(transport.get_extra_info("peername")[0]))
        if place is None:
            reset(transport)
            return
        cast(asyncio.Transport, transport).pause_reading()
        asyncio.ensure_future(self._connect(place))  # noqa: RUF006 - ends by itself

    async def _connect(self, place: Place) -> None:
        loop = asyncio.get_running_loop()
        assert self.transport is not None
        try:
            async with asyncio.timeout(5.0):
                _, far = await loop.create_connection(_Half, *place)
        except (OSError, TimeoutError):
            reset(self.transport)
            return
        if self.transport.is_closing():
            if far.transport is not None:
                far.transport.close()
            return
        self.join(far)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.transport is not None:
            self._live.discard(self.transport)
        super().connection_lost(exc)


def _bound(ip: str, port: int) -> socket.socket:
    """A TCP socket that holds an address: until it listens, connections to it are refused."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((ip, port))
    except OSError:
        sock.close()
        raise
    sock.setblocking(False)
    return sock


class TcpListener:
    """A TCP address that is held, and whose connections are forwarded while it serves."""

    def __init__(self, ip: str, port: int, choose: Chooser) -> None:
        self._where = (ip, port)
        self._choose = choose
        self._live: set[asyncio.BaseTransport] = set()
        self._held: socket.socket | None = _bound(ip, port)
        self._server: asyncio.Server | None = None

    @classmethod
    async def open(cls, ip: str, port: int, choose: Chooser) -> TcpListener:
        """Hold an address; raises OSError when it cannot be bound."""
        return cls(ip, port, choose)

    async def serve(self, wanted: bool) -> None:
        """Begin or stop to accept connections; those that there are go on."""
        if wanted and self._server is None:
            sock = self._held or _bound(*self._where)
            sock.listen(256)
            self._held = None
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(lambda: _Accepted(self._choose, self._live), sock=sock)
        elif not wanted and self._server is not None:
            self._server.close()
            self._server = None
            self._held = _bound(*self._where)

    def close(self) -> None:
        """Let the address go; open connections are reset."""
        if self._server is not None:
            self._server.close()
        if self._held is not None:
            self._held.close()
        for transport in list(self._live):
            reset(transport)


class _Flow(asyncio.DatagramProtocol):
    """The way back of one client's datagrams."""

    def __init__(self, listener: UdpListener, client: Place) -> None:
        self._listener = listener
        self._client = client
        self.transport: asyncio.DatagramTransport | None = None
        self.used = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: object) -> None:
        self._listener.answer(data, self._client)

    def error_received(self, exc: Exception) -> None:
        self._listener.forget(self._client)


class UdpListener(asyncio.DatagramProtocol):
    """A bound UDP address; each client address is one flow that ends after a minute of silence."""

    def __init__(self, choose: Chooser) -> None:
        self._choose = choose
        self._transport: asyncio.DatagramTransport | None = None
        self._flows: dict[Place, _Flow] = {}
        self._opening: set[Place] = set()

    @classmethod
    async def open(cls, ip: str, port: int, choose: Chooser) -> UdpListener:
        """Bind and serve; raises OSError when the address cannot be bound."""
        loop = asyncio.get_running_loop()
        _, protocol = await loop.create_datagram_endpoint(lambda: cls(choose), local_addr=(ip, port))
        return protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: object) -> None:
        client = cast(Place, addr)
        flow = self._flows.get(client)
        if flow is not None and flow.transport is not None:
            flow.used = asyncio.get_running_loop().time()
            flow.transport.sendto(data)
        elif client not in self._opening:
            self._opening.add(client)
            asyncio.ensure_future(self._open_flow(client, data))  # noqa: RUF006 - ends by itself

    async def _open_flow(self, client: Place, data: bytes) -> None:
        try:
            place = self._choose(client[0])
            if place is None:
                return
            self._expire()
            loop = asyncio.get_running_loop()
            _, flow = await loop.create_datagram_endpoint(lambda: _Flow(self, client), remote_addr=place)
            flow.used = loop.time()
            self._flows[client] = flow
            if flow.transport is not None:
                flow.transport.sendto(data)
        except OSError:
            return
        finally:
            self._opening.discard(client)

    def _expire(self) -> None:
        limit = asyncio.get_running_loop().time() - _UDP_IDLE
        old = [client for client, flow in self._flows.items() if flow.used < limit]
        if not old and len(self._flows) >= _MAX_FLOWS:
            old = [min(self._flows, key=lambda client: self._flows[client].used)]
        for client in old:
            self.forget(client)

    def answer(self, data: bytes, client: Place) -> None:
        """Send an endpoint's datagram back to its client."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(data, client)

    def forget(self, client: Place) -> None:
        """End one flow; the next datagram of the client chooses anew."""
        flow = self._flows.pop(client, None)
        if flow is not None and flow.transport is not None:
            flow.transport.close()

    def forget_all(self) -> None:
        """End all flows, as when endpoints changed."""
        for client in list(self._flows):
            self.forget(client)

    def close(self) -> None:
        """Stop."""
        self.forget_all()
        if self._transport is not None:
            self._transport.close()

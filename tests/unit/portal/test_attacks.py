"""What a stranger sends to the server itself, byte by byte: bodies without end, requests that never finish."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from ipaddress import ip_network

import pytest

from edge_expose_cloud.portal.app import make_app
from edge_expose_cloud.portal.http.bodies import MOST_BYTES, BodyLimits
from edge_expose_cloud.portal.http.connections import ConnectionLimits, OpenConnections
from edge_expose_cloud.portal.http.guards import Hosts
from edge_expose_cloud.portal.server import make_server
from support.waiting import eventually

SOON = 30.0  # of a busy machine; what is bounded here takes a fraction of a second
CHUNK = b"10000\r\n" + b"x" * 65536 + b"\r\n"


class Peer:
    """One connection, and what came back on it."""

    def __init__(self, port: int, source: str = "127.0.0.1") -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), SOON, (source, 0))

    def send(self, *parts: bytes) -> Peer:
        with contextlib.suppress(OSError):  # it may have been hung up on
            for part in parts:
                self.socket.sendall(part)
        return self

    def head(self, method: str = "POST", path: str = "/sign-in", **headers: str) -> Peer:
        lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        return self.send("\r\n".join([*lines, "", ""]).encode())

    def rest(self) -> bytes:
        """Everything until the server hangs up; TimeoutError when it does not."""
        found = b""
        with contextlib.suppress(ConnectionResetError):
            while part := self.socket.recv(65536):
                found += part
        return found

    def status(self) -> int:
        found = b""
        while b"\r\n" not in found:
            found += self.socket.recv(1) or b"\r\n"
        return int(found.split()[1]) if found.split() else 0

    def close(self) -> None:
        self.socket.close()


Serve = Callable[..., Callable[..., Peer]]


@pytest.fixture
def serve(world) -> Iterator[Serve]:
    """Starts the server with limits of seconds' fractions, and gives what connects to it."""
    with contextlib.ExitStack() as stack:

        def start(**limits: float) -> Callable[..., Peer]:
            app = make_app(
                world.portal, Hosts(["127.0.0.1"]), bodies=BodyLimits(seconds=limits.pop("body_seconds", SOON))
            )
            connections = ConnectionLimits(**{"head_seconds": SOON, **limits})  # type: ignore[arg-type]
            server = make_server(app, world.portal.events, limits=connections)
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            thread = threading.Thread(target=server.run, args=([listener],))
            thread.start()
            stack.callback(thread.join, 30)
            stack.callback(setattr, server, "should_exit", True)

            def connect(source: str = "127.0.0.1") -> Peer:
                peer = Peer(listener.getsockname()[1], source)
                stack.callback(peer.close)
                return peer

            eventually(lambda: connect().head("GET").status() == 200)
            return connect

        yield start


def test_a_body_is_counted_whatever_its_headers_say(serve) -> None:
    connect = serve()
    declared = connect().head(Content_Length=str(MOST_BYTES + 1))
    chunked = connect().head(Transfer_Encoding="chunked").send(*[CHUNK] * 3)
    both = connect().head(Transfer_Encoding="chunked", Content_Length="5").send(*[CHUNK] * 3)
    looking = connect().head("GET", Transfer_Encoding="chunked").send(*[CHUNK] * 3)
    assert [peer.status() for peer in (chunked, both, looking)] == [413, 400, 413]
    assert declared.send(b"x" * (MOST_BYTES + 1)).status() == 413
    assert b"connection: close" in chunked.rest().lower()


@pytest.mark.parametrize("headers", [{"Transfer_Encoding": "chunked"}, {"Content_Length": str(1 << 40)}])
def test_a_body_without_end_is_hung_up_on(serve, headers) -> None:
    peer = serve()().head(**headers)
    sent = 0
    with contextlib.suppress(OSError):
        while sent < 1 << 28:
            peer.socket.sendall(CHUNK if "Transfer_Encoding" in headers else b"x" * 65536)
            sent += 65536
    assert sent < 1 << 24, "16 MB were taken"


def test_a_small_body_is_read_however_it_is_sent(serve) -> None:
    peer = serve()().head(Transfer_Encoding="chunked", Origin="http://127.0.0.1")
    peer.send(b"8\r\nname=ada\r\n", b"10\r\n&password=wrong1\r\n", b"0\r\n\r\n")
    assert peer.status() == 403
    assert b"The name or the password is wrong" in peer.socket.recv(65536) + peer.socket.recv(65536)


@pytest.mark.parametrize(
    "sent", [b"", b"G", b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n"], ids=["nothing", "a letter", "half a head"]
)
def test_a_request_that_never_begins_is_hung_up_on(serve, sent) -> None:
    peer = serve(head_seconds=0.3)().send(sent)
    assert peer.rest() == b""


def test_a_head_that_trickles_in_has_no_more_time(serve) -> None:
    peer = serve(head_seconds=0.5)().send(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n")
    begun = time.monotonic()
    peer.socket.settimeout(0.05)
    while time.monotonic() - begun < SOON:
        try:
            peer.socket.sendall(b"X: y\r\n")
            if peer.socket.recv(1) == b"":
                return
        except TimeoutError:
            continue
        except OSError:
            return
    raise AssertionError("each byte bought more time")


def test_a_second_request_that_never_ends_is_hung_up_on(serve) -> None:
    peer = serve(head_seconds=0.5)().head("GET")
    assert peer.status() == 200
    assert b"</html>" in peer.send(b"GET / HTTP/1.1\r\nHost: ").rest()


def test_a_body_that_never_ends_is_told_that_time_is_up(serve) -> None:
    peer = serve(body_seconds=0.3)().head(Content_Length="10", Origin="http://127.0.0.1").send(b"na")
    assert peer.status() == 408
    peer.rest()


def test_a_client_that_reads_nothing_is_hung_up_on(serve) -> None:
    peer = serve(stall_seconds=0.5)()
    asking = b"GET /static/style.css HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 2000
    with pytest.raises(ConnectionError):  # and no TimeoutError
        list(iter(lambda: peer.socket.sendall(asking), "never"))


def test_one_address_cannot_take_all_connections_and_gets_room_again(serve) -> None:
    connect = serve(most_of_address=5)
    held = [connect("127.0.0.9") for _ in range(5)]
    for peer in held:
        assert peer.head("GET").status() == 200
    refused = connect("127.0.0.9")
    assert refused.head("GET").rest() == b""
    assert connect("127.0.0.8").head("GET").status() == 200
    held[0].close()
    eventually(lambda: connect("127.0.0.9").head("GET").status() == 200, SOON)


@pytest.mark.parametrize(
    "held", [b"", b"GET / HT", b"POST /sign-in HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\nn"]
)
def test_whoever_only_holds_connections_keeps_nobody_out(serve, held) -> None:
    connect = serve(most=6)
    peers = [connect(f"127.0.2.{number}").send(held) for number in range(1, 9)]
    for number in range(1, 5):
        assert connect(f"127.0.3.{number}").head("GET").status() == 200
    assert peers[0].rest() == b"", "the one held for longest went"


def test_connections_are_counted_for_each_client_and_together() -> None:
    limits = ConnectionLimits(most=6, most_of_address=3)
    connections = OpenConnections(limits, [ip_network("10.0.0.0/24")])
    assert [connections.admit("fd00::1"), connections.admit("fd00::2"), connections.admit("fd00::3")] == [True] * 3
    assert not connections.admit("fd00::4"), "one /64 is one client"
    assert [connections.admit("::ffff:10.0.0.9") for _ in range(4)] == [True, True, True, False], "a proxy, until all"
    connections.leave("10.0.0.9")
    assert connections.admit("192.0.2.1")
    gone: list[str] = []
    for name in ("old", "new", "old"):
        connections.unfinished(name, lambda name=name: gone.append(name))
    assert connections.admit("192.0.2.2")
    assert gone == ["old"]
    connections.finished("new")
    assert not connections.admit("192.0.2.3"), "nobody is left who may go"

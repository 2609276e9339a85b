"""The options that let a connection give up on a silent peer."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from urllib3.connection import HTTPConnection

from edge_expose_module.adapters import sockets


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    before = list(HTTPConnection.default_socket_options)
    yield
    HTTPConnection.default_socket_options[:] = before


def option(connection: HTTPConnection, level: int, name: int) -> int:
    assert connection.sock is not None
    return int(connection.sock.getsockopt(level, name))


def test_a_connection_gives_up_on_a_silent_peer() -> None:
    sockets.set_up()
    sockets.set_up()
    with socket.create_server(("127.0.0.1", 0)) as server:
        connection = HTTPConnection("127.0.0.1", server.getsockname()[1])
        connection.connect()
        try:
            assert option(connection, socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert option(connection, socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1, "what was set before stays"
            assert option(connection, socket.IPPROTO_TCP, socket.TCP_SYNCNT) == 2
            assert option(connection, socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 15
        finally:
            connection.close()
    assert len(HTTPConnection.default_socket_options) == 6


def test_a_system_without_an_option_has_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "TCP_SYNCNT")
    sockets.set_up()
    assert (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1) in HTTPConnection.default_socket_options
    assert len(HTTPConnection.default_socket_options) == 5

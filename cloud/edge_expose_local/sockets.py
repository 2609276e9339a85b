"""Listening sockets: TCP, and the unix socket of a part that only the owner of the state folder may reach."""

from __future__ import annotations

import os
import socket
from pathlib import Path

_BACKLOG = 512


def tcp_socket(address: str, port: int) -> socket.socket:
    """A listening TCP socket; port 0 picks a free one. Raises OSError that names address and port.

    The protocol is named, else asyncio leaves Nagle's algorithm on for accepted connections (40 ms per call).
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, port))
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        raise OSError(error.errno, f"cannot listen on {address}:{port}: {error.strerror}") from error
    sock.setblocking(False)
    return sock


def private_unix_socket(path: Path) -> socket.socket:
    """A listening unix socket that only its owner can connect to."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    previous = os.umask(0o177)
    try:
        sock.bind(str(path))
    finally:
        os.umask(previous)
    sock.listen(_BACKLOG)
    sock.setblocking(False)
    return sock

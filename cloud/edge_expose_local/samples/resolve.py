"""Finds the address of a Service by name: asks the name server in EDGE_EXPOSE_DNS, else the system."""

from __future__ import annotations

import os
import random
import socket
import struct


def _encode(name: str) -> bytes:
    return b"".join(bytes([len(part)]) + part.encode() for part in name.split(".") if part) + b"\0"


def _skip_name(message: bytes, at: int) -> int:
    while True:
        size = message[at]
        if size >= 0xC0:
            return at + 2
        at += 1 + size
        if size == 0:
            return at


def _ask(server: tuple[str, int], name: str) -> list[str]:
    ident = random.randrange(65536)  # noqa: S311 - no secret
    query = struct.pack("!HHHHHH", ident, 0x0100, 1, 0, 0, 0) + _encode(name) + struct.pack("!HH", 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(2.0)
        sock.connect(server)
        sock.send(query)
        answer = sock.recv(4096)
    got, _, _, count = struct.unpack("!HHHH", answer[:8])
    if got != ident:
        raise OSError("the name server answered another question")
    at = _skip_name(answer, 12) + 4
    found: list[str] = []
    for _ in range(count):
        at = _skip_name(answer, at)
        kind, _, _, size = struct.unpack("!HHIH", answer[at : at + 10])
        at += 10
        if kind == 1 and size == 4:
            found.append(socket.inet_ntoa(answer[at : at + 4]))
        at += size
    return found


def resolve(name: str) -> str:
    """Return an IPv4 address for a name; raises OSError when there is none."""
    try:
        socket.inet_aton(name)
    except OSError:
        pass
    else:
        return name
    configured = os.environ.get("EDGE_EXPOSE_DNS", "")
    if not configured:
        return socket.gethostbyname(name)
    host, _, port = configured.rpartition(":")
    search = os.environ.get("EDGE_EXPOSE_DNS_SEARCH", "").split()
    names = [f"{name}.{suffix}" for suffix in search] + [name] if name.count(".") < 5 else [name]
    for candidate in names:
        addresses = _ask((host, int(port)), candidate.rstrip("."))
        if addresses:
            return random.choice(addresses)  # noqa: S311 - no secret
    raise OSError(f"no address is known for {name}")

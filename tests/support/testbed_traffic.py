"""Clients in the outside world or in a pod: sockets of this process that live in another network namespace."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections import Counter
from typing import Any

from support.testbed_namespaces import inside, socket_in


def http_get(namespace: str, ip: str, port: int, *, source: str = "", path: str = "/", timeout: float = 2.0) -> str:
    """The body of an answer; raises OSError, also for an error answer."""
    connection = http.client.HTTPConnection(ip, port, timeout=timeout)
    sock = socket_in(namespace, socket.SOCK_STREAM)
    try:
        sock.settimeout(timeout)
        if source:
            sock.bind((source, 0))
        sock.connect((ip, port))
        connection.sock = sock
        connection.request("GET", path, headers={"Connection": "close"})
        response = connection.getresponse()
        body = response.read().decode()
    except http.client.HTTPException as error:
        raise OSError(f"broken answer: {error!r}") from error
    finally:
        sock.close()
    if response.status != 200:
        raise OSError(f"HTTP {response.status}: {body[:300]}")
    return body


def echo(namespace: str, ip: str, port: int, *, source: str = "", timeout: float = 2.0) -> dict[str, Any]:
    """Which pod of the echo sample answered, and whom it saw. Raises OSError."""
    return dict(json.loads(http_get(namespace, ip, port, source=source, timeout=timeout)))


def echo_udp(namespace: str, ip: str, port: int, *, source: str = "", timeout: float = 1.0) -> tuple[str, str]:
    """Pod and client of one datagram. Raises OSError."""
    with socket_in(namespace, socket.SOCK_DGRAM) as sock:
        sock.settimeout(timeout)
        if source:
            sock.bind((source, 0))
        sock.connect((ip, port))
        sock.send(b"hello")
        pod, client, said = sock.recv(2048).decode().split(" ", 2)
        assert said == "hello"
        return pod, client


def spread(namespace: str, ip: str, port: int, count: int, *, source: str = "") -> Counter[str]:
    """How many of `count` requests each pod answered; those that no pod answered are counted under 'failed'.

    A request is sent up to three times, each from a port of its own: a connection that begins in the instant in which
    kube-proxy exchanges its rules is refused or left untranslated for good (seen: 3 of 79,000 while a pod was replaced
    31 times).
    """
    return Counter(_answered_by(namespace, ip, port, source) for _ in range(count))


def _answered_by(namespace: str, ip: str, port: int, source: str) -> str:
    for _ in range(3):
        try:
            return str(echo(namespace, ip, port, source=source, timeout=1.0)["pod"])
        except OSError:
            time.sleep(0.1)
    return "failed"


def why_not_reached(namespace: str, ip: str, port: int, *, source: str = "", timeout: float = 1.5) -> str:
    """Why a connection did not come about: `silent`, `refused` or `unreachable`; '' when it did."""
    try:
        http_get(namespace, ip, port, source=source, timeout=timeout)
    except TimeoutError:
        return "silent"
    except ConnectionRefusedError:
        return "refused"
    except OSError:
        return "unreachable"
    return ""


def resolve(namespace: str, server: str, name: str) -> list[str]:
    """A records of a full name, asked by hand; raises OSError."""
    question = b"".join(bytes([len(part)]) + part.encode() for part in name.rstrip(".").split(".")) + b"\0\0\1\0\1"
    with socket_in(namespace, socket.SOCK_DGRAM) as sock:
        sock.settimeout(2.0)
        sock.connect((server, 53))
        sock.send(b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + question)
        answer = sock.recv(4096)
    found, at = [], 12 + len(question)
    for _ in range(int.from_bytes(answer[6:8], "big")):
        while answer[at] and answer[at] < 0xC0:
            at += answer[at] + 1
        at += 2 if answer[at] else 1
        size = int.from_bytes(answer[at + 8 : at + 10], "big")
        if answer[at : at + 2] == b"\0\1" and size == 4:
            found.append(socket.inet_ntoa(answer[at + 10 : at + 14]))
        at += 10 + size
    return sorted(found)


def who_has(namespace: str, source: str, ip: str, port: str = "eth0", timeout: float = 1.0) -> str:
    """The hardware address that answers ARP for `ip`, '' when nobody does."""
    with inside(namespace):
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806))
    with sock:
        sock.bind((port, 0x0806))
        mine = sock.getsockname()[4]
        fixed = b"\x00\x01\x08\x00\x06\x04\x00\x01"
        ask = fixed + mine + socket.inet_aton(source) + b"\0" * 6 + socket.inet_aton(ip)
        sock.send(b"\xff" * 6 + mine + b"\x08\x06" + ask)
        sock.settimeout(timeout)
        try:
            while True:
                packet = sock.recv(128)
                if packet[20:22] == b"\0\2" and packet[28:32] == socket.inet_aton(ip):
                    return packet[22:28].hex(":")
        except TimeoutError:
            return ""

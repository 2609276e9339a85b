"""What somebody without an account can make the portal cost, measured at the process."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

import httpx
import pytest

from support.portal import portal
from support.waiting import eventually

POURED = 250 << 20


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", id="both lengths"),
        pytest.param(b"Transfer-Encoding: chunked\r\n", id="chunked"),
        pytest.param(b"Content-Length: 262144000\r\n", id="a length"),
    ],
)
def test_250_megabytes_before_sign_in_cost_no_memory(tmp_path: Path, headers: bytes) -> None:
    with portal(tmp_path) as running:
        eventually(lambda: httpx.get(f"{running.url}/sign-in").is_success)
        before = running.peak_megabytes()
        chunk = b"40000\r\n" + b"x" * 0x40000 + b"\r\n" if b"chunked" in headers else b"x" * 0x40000
        sent = 0
        while sent < POURED:
            head = b"POST /sign-in HTTP/1.1\r\nHost: 127.0.0.1\r\n" + headers + b"\r\n"
            with socket.create_connection(("127.0.0.1", running.port), 30) as peer, contextlib.suppress(OSError):
                peer.sendall(head)
                for _ in range(1000):
                    sent += len(chunk)
                    peer.sendall(chunk)
        assert httpx.get(f"{running.url}/sign-in").is_success
        grown = running.peak_megabytes() - before
        print(f"250 MB, {headers.splitlines()}: {grown:.1f} MB more at the peak")
        assert grown < 24

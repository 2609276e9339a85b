"""The portal as a process: it ends at once and without noise, whatever pages are open."""

from __future__ import annotations

import signal
import socket
import ssl
from pathlib import Path

import httpx
import pytest

from support.certificates import certify
from support.portal import portal
from support.waiting import PATIENCE, eventually


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_at_once_and_without_a_traceback_while_a_page_is_open(tmp_path: Path, sent: signal.Signals) -> None:
    with portal(tmp_path) as running:
        with httpx.Client(base_url=running.url, headers={"Origin": running.url}, timeout=PATIENCE) as client:
            eventually(lambda: client.get("/sign-in").is_success)
            assert client.post("/link", data={"token": running.link}).status_code == 303
            with client.stream("GET", "/events?device=d1") as events:
                lines = events.iter_lines()
                assert next(lines) == "retry: 2000"
                running.child.send_signal(sent)
                list(lines)
                running.child.wait(30)
        log = running.log.read_text()
        assert "Traceback" not in log, log
        assert "graceful shutdown exceeded" not in log, "uvicorn waited in vain for pages that are open"


@pytest.fixture
def https(tmp_path: Path) -> tuple[str, ...]:
    """Options of a portal that serves HTTPS."""
    chain, key = certify("portal.example").write(tmp_path)
    return "--tls-cert", chain, "--tls-key", key


def test_over_https_cookies_are_secure_and_half_a_request_is_hung_up_on(tmp_path: Path, https: tuple[str, ...]) -> None:
    with portal(tmp_path, *https) as running:
        with httpx.Client(
            base_url=running.url, headers={"Origin": running.url}, timeout=PATIENCE, verify=False
        ) as client:
            eventually(lambda: client.get("/sign-in").is_success)
            answer = client.post("/link", data={"token": running.link})
            cookie = answer.headers["set-cookie"]
            assert cookie.startswith("__Host-edge-expose=")
            assert {"Secure", "HttpOnly", "SameSite=lax"} <= set(cookie.split("; "))
            assert answer.headers["strict-transport-security"] == "max-age=31536000"
            assert client.get("/devices").status_code == 200
        trusting = ssl._create_unverified_context()
        with (
            socket.create_connection(("127.0.0.1", running.port), 30) as plain,
            trusting.wrap_socket(plain, server_hostname="portal.example") as peer,
        ):
            peer.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n")
            assert peer.recv(1) == b"", "nobody answers half a request"


def test_beyond_loopback_it_serves_plain_http_when_told_so(tmp_path: Path) -> None:
    with portal(tmp_path, "--plain-http", "--trusted-proxy", "127.0.0.0/8", listen="0.0.0.0:0") as running:
        url = f"http://127.0.0.1:{running.port}"
        answer = eventually(lambda: httpx.get(f"{url}/sign-in", headers={"Host": "0.0.0.0"}, timeout=PATIENCE))
        assert answer.status_code == 200
        assert httpx.get(f"{url}/sign-in", timeout=PATIENCE).status_code == 421, (
            "another name is known only when it is told"
        )
        assert "reachable by others" in running.log.read_text()

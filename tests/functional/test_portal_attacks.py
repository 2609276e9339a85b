"""What somebody without an account can make the portal cost, measured at the process."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import statistics
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest

from support.portal import PASSWORD, Process, portal
from support.waiting import PATIENCE, eventually

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
        eventually(lambda: httpx.get(f"{running.url}/sign-in", timeout=PATIENCE).is_success)
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
        assert httpx.get(f"{running.url}/sign-in", timeout=PATIENCE).is_success
        grown = running.peak_megabytes() - before
        print(f"250 MB, {headers.splitlines()}: {grown:.1f} MB more at the peak")
        assert grown < 24


RATE = 60
SECONDS = 8
# Milliseconds: 9 are usual, and 370 were seen on a busy machine; unbounded, the flood takes all its seconds.
SLOW = 3000


async def sign_ins(running: Process, codes: Counter[int], until: asyncio.Event) -> None:
    """RATE wrong passwords a second, each from an address of its own, so that none is throttled."""
    pending: set[asyncio.Task[None]] = set()

    async def one(number: int) -> None:
        source = f"127.{1 + number // 60000}.{number // 250 % 240 + 1}.{number % 250 + 1}"
        transport = httpx.AsyncHTTPTransport(local_address=source)
        async with httpx.AsyncClient(transport=transport, base_url=running.url, timeout=PATIENCE) as client:
            form = {"name": f"user{number}", "password": "wrong"}
            with contextlib.suppress(httpx.HTTPError):
                codes[(await client.post("/sign-in", data=form, headers={"Origin": running.url})).status_code] += 1

    begun = time.monotonic()
    for number in itertools.count():
        if until.is_set():
            break
        pending.add(task := asyncio.create_task(one(number)))
        task.add_done_callback(pending.discard)
        await asyncio.sleep(max(0.0, begun + number / RATE - time.monotonic()))
    await asyncio.gather(*pending)


async def measured(running: Process) -> tuple[list[float], Counter[int], int]:
    """Milliseconds of pages while somebody floods the door, what the flood heard, and what the owner heard there."""
    async with httpx.AsyncClient(base_url=running.url, headers={"Origin": running.url}, timeout=PATIENCE) as owner:
        signed = {"name": "ada", "password": PASSWORD}
        assert (await owner.post("/sign-in", data=signed)).status_code == 303
        codes: Counter[int] = Counter()
        over = asyncio.Event()
        flood = asyncio.create_task(sign_ins(running, codes, over))
        took, ends = [], time.monotonic() + SECONDS
        while time.monotonic() < ends:
            begun = time.perf_counter()
            assert (await owner.get("/devices")).status_code == 200
            took.append((time.perf_counter() - begun) * 1000)
            await asyncio.sleep(0.05)
        again = (await owner.post("/sign-in", data=signed)).status_code
        over.set()
        await flood
    return sorted(took), codes, again


def test_60_sign_ins_a_second_leave_pages_fast_and_the_owner_in(tmp_path: Path) -> None:
    with portal(tmp_path, users=("ada",)) as running:
        eventually(lambda: httpx.get(f"{running.url}/sign-in", timeout=PATIENCE).is_success)
        took, codes, again = asyncio.run(measured(running))
        median, high = statistics.median(took), took[int(len(took) * 0.95)]
        print(f"{len(took)} pages: median {median:.0f} ms, 95 % {high:.0f} ms, {codes}")
        assert codes.keys() <= {403, 503}
        assert codes[503] > 0, "beyond the queue it says so"
        assert codes[403] > 0, "some are checked"
        assert codes.total() > RATE * SECONDS / 3, "the flood was one"
        assert median < SLOW
        assert again == 303, "a browser that is known goes first"
        assert running.peak_megabytes() < 400


def test_900_connections_that_are_only_held_leave_pages_fast(tmp_path: Path) -> None:
    """More than the portal takes in all; each sends half a request, of a head or of a body, and stays."""
    halves = (
        b"GET / HTTP/1.1\r\nHost: 127",
        b"POST /sign-in HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99\r\n\r\nn",
    )
    with portal(tmp_path) as running, contextlib.ExitStack() as stack:
        eventually(lambda: httpx.get(f"{running.url}/sign-in", timeout=PATIENCE).is_success)
        before = running.peak_megabytes()
        for number in range(900):
            source = (f"127.9.0.{number % 5 + 1}", 0)
            peer = socket.create_connection(("127.0.0.1", running.port), 30, source)
            stack.enter_context(peer)
            with contextlib.suppress(OSError):
                peer.sendall(halves[number % 2])
        took = []
        for _ in range(40):
            begun = time.perf_counter()
            assert httpx.get(f"{running.url}/sign-in", timeout=PATIENCE).is_success
            took.append((time.perf_counter() - begun) * 1000)
        median, high, grown = statistics.median(took), max(took), running.peak_megabytes() - before
        print(f"900 held: median {median:.0f} ms, most {high:.0f} ms, {grown:.1f} MB more at the peak")
        assert median < SLOW
        assert grown < 64


ODD = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200,
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade, close\r\n\r\n",
    b"GET http://evil.example/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
    b"GET //evil.example/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
    b"POST /sign-in HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -1\r\n\r\n",
    b"POST /sign-in HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
    b"POST /sign-in HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"y" * 200_000 + b"\r\n\r\n",
    b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
]


def test_odd_requests_open_nothing_break_nothing_and_fill_no_log(tmp_path: Path) -> None:
    with portal(tmp_path) as running:
        eventually(lambda: httpx.get(f"{running.url}/sign-in", timeout=PATIENCE).is_success)
        before = len(running.log.read_text())
        for sent in ODD * 3:
            answer = b""
            with (
                socket.create_connection(("127.0.0.1", running.port), 30) as peer,
                contextlib.suppress(ConnectionError),
            ):
                peer.sendall(sent)
                while part := peer.recv(65536):
                    answer += part
            status = answer.split(b" ", 2)[1:2]
            assert status in ([], [b"303"], [b"400"], [b"403"], [b"404"], [b"413"], [b"421"], [b"501"], [b"505"]), (
                sent[:80],
                answer,
            )
            assert b"evil.example" not in answer.partition(b"\r\n\r\n")[0].lower(), "no redirect leads out"
        assert httpx.get(f"{running.url}/sign-in", timeout=PATIENCE).is_success
        assert len(running.log.read_text()) - before < 200, running.log.read_text()[before:]

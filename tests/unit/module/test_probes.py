"""Probes: what is remembered of them, and that none holds up or ends the others; their times in the metrics."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from prometheus_client import generate_latest

from edge_expose_contract.models import Exposure
from edge_expose_module.adapters.health import Metrics
from edge_expose_module.adapters.metrics import MetricsMeasures
from edge_expose_module.adapters.probe import probe
from edge_expose_module.status.probes import AT_ONCE, Prober, ProbeResult, Target, ask_all
from support.waiting import PATIENCE


def target(path: str = "tcp", address: str = "127.0.0.1", port: int = 80) -> Target:
    """Unchecked: a document would be refused such a path, and still nothing may break."""
    return Target(Exposure.model_construct(module="m", ports=[port], probe=path), address)


def test_a_probe_remembers_when_it_last_answered_and_wakes_on_a_turn_only() -> None:
    answers = iter(
        [
            ProbeResult("10.0.0.1:80", True, 3.0, "HTTP 200", 100.0),
            ProbeResult("10.0.0.1:80", True, 4.0, "HTTP 200", 115.0),
            ProbeResult("10.0.0.1:80", False, None, "refused", 130.0),
        ]
    )
    turns: list[int] = []
    exposure = Exposure.model_validate({"module": "m", "ports": [80], "probe": "/healthz"})
    targets = {"web": Target(exposure, "10.0.0.1")}
    prober = Prober(lambda: targets, lambda *_: next(answers), lambda: turns.append(1))
    for _ in range(3):
        asyncio.run(prober.round())
    found = prober.results["web"]
    assert (found.ok, found.last_seen, found.milliseconds) == (False, 115.0, None)
    assert len(turns) == 2
    targets.clear()
    asyncio.run(prober.round())
    assert prober.results == {}


@pytest.fixture
def port() -> Iterator[int]:
    """A port that takes connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


def test_a_target_that_cannot_even_be_asked_does_not_end_the_probing_of_others(port: int) -> None:
    targets = {"bad": target("/\u00fc", port=port), "good": target(port=port)}
    prober = Prober(lambda: targets, probe, lambda: None)
    asyncio.run(prober.round())
    assert prober.results["good"].ok
    assert (prober.results["bad"].ok, prober.results["bad"].detail) == (False, "UnicodeEncodeError")


def serve(answer: Callable[[socket.socket, threading.Event], None], stop: threading.Event) -> int:
    """A port whose first connection is answered so; ends with `stop`."""
    server = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        with server:
            connection, _ = server.accept()
        with connection, suppress(OSError):
            connection.recv(4096)
            answer(connection, stop)

    threading.Thread(target=run, daemon=True).start()
    return int(server.getsockname()[1])


def drip(connection: socket.socket, stop: threading.Event) -> None:
    """A byte now and then, and never the end of a line."""
    while not stop.wait(0.02):
        connection.sendall(b"H")


def flood(connection: socket.socket, stop: threading.Event) -> None:
    while not stop.is_set():
        connection.sendall(b"H" * 65536)


def say(text: bytes) -> Callable[[socket.socket, threading.Event], None]:
    return lambda connection, _: connection.sendall(text)


@pytest.mark.parametrize(
    ("answer", "ok", "detail"),
    [
        pytest.param(drip, False, "TimeoutError", id="a byte at a time"),
        pytest.param(lambda _, stop: stop.wait(PATIENCE), False, "TimeoutError", id="nothing at all"),
        pytest.param(flood, False, "no HTTP answer", id="a line without end"),
        pytest.param(say(b""), False, "no HTTP answer", id="gone at once"),
        pytest.param(say(b"SSH-2.0-x\r\n"), False, "no HTTP answer", id="another protocol"),
        pytest.param(say(b"HTTP/1.1 200 OK\r\n"), True, "HTTP 200", id="fine"),
        pytest.param(say(b"HTTP/1.0 404\n"), True, "HTTP 404", id="there, but not that page"),
        pytest.param(say(b"HTTP/1.1 503 Away\r\n"), False, "HTTP 503", id="a server error"),
    ],
)
def test_one_deadline_holds_for_a_whole_answer(
    answer: Callable[[socket.socket, threading.Event], None], ok: bool, detail: str
) -> None:
    stop = threading.Event()
    start = time.monotonic()
    asked = target("/healthz", port=serve(answer, stop))
    within = 1.0 if detail == "TimeoutError" else 20.0
    found = probe(asked.exposure, asked.address, within)
    stop.set()
    assert (found.ok, found.detail) == (ok, detail)
    assert time.monotonic() - start < 60
    assert (found.milliseconds is None) is (detail == "TimeoutError")


def test_what_nobody_came_to_ask_in_time_is_told_as_such() -> None:
    release = threading.Event()

    def ask(_: Exposure, address: str) -> ProbeResult:
        if address == "slow":
            release.wait(30)
        return ProbeResult(address, True, 1.0, "connected", 0.0)

    async def go() -> dict[str, ProbeResult]:
        try:
            return await ask_all({"a": target(address="slow"), "b": target(address="quick")}, ask, 2.0)
        finally:
            release.set()

    found = asyncio.run(go())
    assert {name: (result.ok, result.detail) for name, result in found.items()} == {
        "a": (False, "no time was left to ask it"),
        "b": (True, "connected"),
    }
    assert asyncio.run(ask_all({}, ask)) == {}


def test_silent_targets_are_waited_for_together_and_take_no_thread_from_the_passes() -> None:
    asked, most, lock = 0, 0, threading.Lock()
    together = threading.Barrier(AT_ONCE, timeout=PATIENCE)

    def ask(_: Exposure, address: str) -> ProbeResult:
        nonlocal asked, most
        with lock:
            asked += 1
            most = max(most, asked)
        together.wait()  # passes only when as many are asked at the same time
        with lock:
            asked -= 1
        return ProbeResult(address, False, None, "silent", time.time())

    async def go() -> dict[str, ProbeResult]:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        return await ask_all({f"e{n}": target(address=f"10.0.0.{n}") for n in range(2 * AT_ONCE)}, ask)

    found = asyncio.run(go())
    assert {name: result.target for name, result in found.items()} == {
        f"e{n}": f"10.0.0.{n}" for n in range(2 * AT_ONCE)
    }
    assert {result.detail for result in found.values()} == {"silent"}
    assert most == AT_ONCE


def test_the_time_of_an_exposure_that_is_gone_is_not_measured_any_more() -> None:
    metrics = Metrics()
    measures = MetricsMeasures(metrics)
    measures.record_state({}, True, True, {"a": 5.0, "b": 7.0})
    measures.record_state({}, True, True, {"b": 8.0})
    lines = generate_latest(metrics.registry).decode().splitlines()
    assert [line for line in lines if line.startswith("edge_expose_probe_seconds")] == [
        'edge_expose_probe_seconds{exposure="b"} 0.008'
    ]

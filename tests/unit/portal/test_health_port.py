"""The portal's health port: alive while its event loop answers, and figures of the fleet for Prometheus."""

from __future__ import annotations

import asyncio
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from edge_expose_cloud.adapters.health_port import Figure, Health
from edge_expose_cloud.hub.api import HubError, HubProblem
from edge_expose_cloud.portal.app import make_app
from edge_expose_cloud.portal.http.guards import Hosts
from edge_expose_cloud.portal.live.measures import figures
from edge_expose_cloud.portal.server import HealthPort
from support.waiting import eventually


@dataclass(frozen=True)
class Serving:
    health: Health
    port: int


@contextmanager
def serving(told: Callable[[], Iterable[Figure]] = tuple) -> Iterator[Serving]:
    listener = socket.create_server(("127.0.0.1", 0))
    health = Health(told)
    server = HealthPort(health, listener)
    try:
        yield Serving(health, listener.getsockname()[1])
    finally:
        server.close()


def get(server: Serving, path: str) -> tuple[int, str]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{server.port}{path}", timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@contextmanager
def running_loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_it_is_alive_while_the_loop_answers() -> None:
    with serving() as server:
        assert get(server, "/healthz")[0] == 503
        with running_loop() as loop:
            server.health.watch(loop)
            assert get(server, "/healthz") == (200, "ok\n")
        assert get(server, "/healthz")[0] == 503


def test_it_serves_nothing_else() -> None:
    with serving() as server:
        for path in ("/", "/devices", "/metrics/x", "/healthz/.."):
            assert get(server, path)[0] == 404


def test_half_a_request_is_hung_up_on_and_holds_nobody_up() -> None:
    with serving() as server, socket.create_connection(("127.0.0.1", server.port), 30) as half:
        half.sendall(b"GET /metr")
        assert get(server, "/metrics")[0] == 200
        assert half.recv(1) == b""


def scraped(text: str) -> dict[str, float]:
    """`name{label value}` -> figure."""
    return {
        " ".join((sample.name.removeprefix("edge_expose_portal_"), *sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_figures_say_what_the_fleet_page_says(world: Any) -> None:
    portal = world.portal
    with serving(lambda: figures(portal.poller, portal.sessions, portal.events)) as server:
        app = make_app(portal, Hosts(frozenset({"127.0.0.1"})), health=server.health)
        with TestClient(app, base_url="http://127.0.0.1:8480") as client:
            client.cookies.set(portal.cookie, portal.sessions.start("ada", "operator"))
            assert client.get("/devices").status_code == 200
            assert client.get("/no-such-page").status_code == 404
            assert get(server, "/healthz")[0] == 200
            eventually(lambda: scraped(get(server, "/metrics")[1])["devices all"] == 1, what="the fleet is read")
            found = scraped(get(server, "/metrics")[1])
            assert (found["devices offline"], found["devices open"], found["exposures ready"]) == (1, 1, 2)
            assert (found["hub_up"], found["sessions"], found["addresses used"]) == (1, 1, 1)
            assert (found["requests_total 200"], found["requests_total 404"]) == (1, 1)
            assert found["request_seconds_count"] == 2
            portal.reading.health.failed(HubError(HubProblem.UNAVAILABLE, "the hub answered 503"))
            assert scraped(get(server, "/metrics")[1])["hub_up"] == 0


def test_slow_and_many_clients_keep_nobody_out() -> None:
    """Each sends a byte now and then and never a whole head."""
    with serving() as server, ExitStack() as held:
        for _ in range(200):
            with suppress(OSError):  # those beyond the limit are hung up on at once
                place = ("127.0.0.1", server.port)
                client = held.enter_context(socket.create_connection(place, 30, source_address=("127.0.0.2", 0)))
                client.sendall(b"GET /metr")
        threads = threading.active_count()
        assert get(server, "/metrics")[0] == 200
        assert threading.active_count() <= threads

"""The portal's health port: `/healthz` for whoever restarts it, `/metrics` for Prometheus. Nobody signs in there.

It has a thread of its own, so that it answers, and says so, when the event loop of the portal does not.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from socketserver import ThreadingMixIn
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

PREFIX: Final = "edge_expose_portal"
_PATIENCE: Final = 5.0
_PLAIN: Final = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Figure:
    """One gauge: `values` by what `label` tells apart, or the one value under ""."""

    name: str
    text: str
    values: Mapping[str, float]
    label: str = ""


class HealthServer:
    """Serves on `host`:`port` until the process ends; `figures` are asked for at each scrape, in another thread.

    Raises OSError when it cannot listen there.
    """

    def __init__(self, host: str, port: int, figures: Callable[[], Iterable[Figure]]) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Figures(figures))
        self._answers = Counter(f"{PREFIX}_requests", "Answers by HTTP status", ["status"], registry=self._registry)
        self._seconds = Histogram(f"{PREFIX}_request_seconds", "Time to the end of an answer", registry=self._registry)
        self._loop: asyncio.AbstractEventLoop | None = None
        kind = _Server6 if ":" in host else _Server
        self._server = make_server(host, port, self._answer, kind, _Silent)
        self.port: int = self._server.server_port

    def start(self) -> None:
        threading.Thread(target=self._server.serve_forever, name="health", daemon=True).start()

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """The loop that must answer."""
        self._loop = loop

    def answered(self, status: int, seconds: float) -> None:
        """A request of the portal has ended."""
        self._answers.labels(str(status)).inc()
        self._seconds.observe(seconds)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, environment: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        status, kind, body = self._page(str(environment.get("PATH_INFO")))
        start(status, [("Content-Type", kind), ("Content-Length", str(len(body)))])
        return [body]

    def _page(self, path: str) -> tuple[str, str, bytes]:
        if path == "/metrics":
            return "200 OK", CONTENT_TYPE_LATEST, generate_latest(self._registry)
        if path == "/healthz":
            if self._alive():
                return "200 OK", _PLAIN, b"ok\n"
            return "503 Service Unavailable", _PLAIN, b"the portal does not answer\n"
        return "404 Not Found", _PLAIN, b"here are /healthz and /metrics\n"

    def _alive(self) -> bool:
        if self._loop is None:
            return False
        turn = threading.Event()
        try:
            self._loop.call_soon_threadsafe(turn.set)
        except RuntimeError:  # the loop is closed
            return False
        return turn.wait(_PATIENCE)


class _Figures(Collector):
    def __init__(self, figures: Callable[[], Iterable[Figure]]) -> None:
        self._figures = figures

    def describe(self) -> Iterator[Metric]:
        return iter(())  # else the registry would collect once to learn the names

    def collect(self) -> Iterator[Metric]:
        for figure in self._figures():
            labels = [figure.label] if figure.label else []
            metric = GaugeMetricFamily(f"{PREFIX}_{figure.name}", figure.text, labels=labels)
            for key, value in figure.values.items():
                metric.add_metric([key] if figure.label else [], value)
            yield metric


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Silent(WSGIRequestHandler):
    timeout = _PATIENCE  # of a client that sends half a request

    def log_message(self, format: str, *args: Any) -> None:
        pass

"""/healthz, /readyz and Prometheus /metrics over a small HTTP server of its own thread."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

log = logging.getLogger(__name__)


class Metrics:
    """Everything the module counts; names start with edge_expose_."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.passes = Counter("edge_expose_passes", "Reconcile passes", ["outcome"], registry=self.registry)
        self.seconds = Histogram("edge_expose_pass_seconds", "Duration of a reconcile pass", registry=self.registry)
        self.changes = Counter(
            "edge_expose_changes", "Writes to the cluster", ["verb", "outcome"], registry=self.registry
        )
        self.drift = Counter("edge_expose_drift_repaired", "Services changed back", registry=self.registry)
        self.exposures = Gauge("edge_expose_exposures", "Exposures by state", ["state"], registry=self.registry)
        self.addresses = Gauge("edge_expose_addresses", "Addresses of the pool by use", ["use"], registry=self.registry)
        self.hub = Gauge("edge_expose_hub_connected", "1 while connected to the hub", registry=self.registry)
        self.cluster = Gauge("edge_expose_cluster_connected", "1 while the cluster answers", registry=self.registry)
        self.probe_seconds = Gauge(
            "edge_expose_probe_seconds",
            "Time the last probe took, of exposures that answered it",
            ["exposure"],
            registry=self.registry,
        )


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # The default of 5 makes a scraper wait whole seconds as soon as somebody knocks a few times at once.
    request_queue_size = 128


class HealthServer:
    """`alive` and `ready` answer with True and a word why."""

    def __init__(
        self,
        address: tuple[str, int],
        metrics: Metrics,
        alive: Callable[[], tuple[bool, str]],
        ready: Callable[[], tuple[bool, str]],
    ) -> None:
        class Handler(BaseHTTPRequestHandler):
            timeout = 10
            server_version = "edge-expose"
            sys_version = ""

            def do_GET(self) -> None:
                match self.path.partition("?")[0]:
                    case "/healthz":
                        self._check(*alive())
                    case "/readyz":
                        self._check(*ready())
                    case "/metrics":
                        self._send(200, generate_latest(metrics.registry), CONTENT_TYPE_LATEST)
                    case _:
                        self._send(404, b"not found\n", "text/plain; charset=utf-8")

            def _check(self, good: bool, word: str) -> None:
                self._send(200 if good else 503, f"{word}\n".encode(), "text/plain; charset=utf-8")

            def _send(self, code: int, body: bytes, kind: str) -> None:
                self.send_response(code)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                log.debug(format, *args)

        self._server = _Server(address, Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, name="health", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

"""The uvicorn server of the portal: bounded connections, no header of a proxy that it was not told of, a quick end."""

from __future__ import annotations

import contextlib
import resource
import socket
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from edge_expose_cloud.adapters.health_port import Health
from edge_expose_cloud.portal.http.addresses import Network
from edge_expose_cloud.portal.http.connections import ConnectionLimits, bounded_protocol
from edge_expose_cloud.portal.live.events import Events

_FILES: Final = 4096
_OF_HEALTH: Final = ConnectionLimits(head_seconds=5, stall_seconds=10, flush_seconds=5, most=64, most_of_address=32)


@dataclass(frozen=True, slots=True)
class Certificate:
    """Paths of the PEM files."""

    chain: Path
    key: Path


class Server(uvicorn.Server):
    """Streams of open pages have no end of their own: they are told before uvicorn waits for them."""

    def __init__(self, config: uvicorn.Config, events: Events) -> None:
        super().__init__(config)
        self._events = events

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._events.close()
        await super().shutdown(sockets)


def make_server(
    app: ASGIApp,
    events: Events,
    *,
    proxies: Iterable[Network] = (),
    certificate: Certificate | None = None,
    limits: ConnectionLimits = ConnectionLimits(),  # noqa: B008 (frozen)
) -> Server:
    config = uvicorn.Config(
        app,
        http=bounded_protocol(limits, proxies),
        ws="none",
        # A stranger's broken request is a warning to uvicorn: whoever sends a million must not fill the log.
        log_level="error",
        access_log=False,
        server_header=False,
        # The application does this itself, for the proxies it was told of.
        proxy_headers=False,
        timeout_graceful_shutdown=2,
        ssl_certfile=certificate.chain if certificate is not None else None,
        ssl_keyfile=certificate.key if certificate is not None else None,
    )
    return Server(config, events)


class HealthPort:
    """The health port: a server with a thread and a loop of its own, so that it answers, and says so, when the portal
    does not. Few connections, since few ask, and since their files are the portal's. Nobody signs in there."""

    def __init__(self, health: Health, listener: socket.socket) -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            status, kind, body = await health.page(scope["path"])
            headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body})

        config = uvicorn.Config(
            app,
            http=bounded_protocol(_OF_HEALTH),
            ws="none",
            lifespan="off",
            log_level="critical",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._listener = listener
        self._thread = threading.Thread(target=self._run, name="health", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join()

    def _run(self) -> None:
        self._server.run(sockets=[self._listener])


def allow_many_files() -> None:
    """Each connection is an open file: a limit of 1024, a common default, leaves few beside the connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))

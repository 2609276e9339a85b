"""The uvicorn server of the portal: bounded connections, no header of a proxy that it was not told of, a quick end."""

from __future__ import annotations

import contextlib
import resource
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from edge_expose_cloud.portal.http.addresses import Network
from edge_expose_cloud.portal.http.connections import ConnectionLimits, bounded_protocol
from edge_expose_cloud.portal.live.events import Events

_FILES: Final = 4096


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


def allow_many_files() -> None:
    """Each connection is an open file: a limit of 1024, a common default, leaves few beside the connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))

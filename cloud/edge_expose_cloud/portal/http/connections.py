"""What one connection may cost before it has asked for anything: uvicorn's HTTP/1.1 protocol with deadlines and counts.

uvicorn closes connections that are idle between two requests; it waits for the head of a request without end.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from uvicorn.protocols.http.h11_impl import H11Protocol

from edge_expose_cloud.portal.http.addresses import Network, is_inside, throttle_key

HEAD_SECONDS: Final = 10.0
STALL_SECONDS: Final = 60.0
FLUSH_SECONDS: Final = 10.0
MOST_CONNECTIONS: Final = 800
MOST_OF_ADDRESS: Final = 200


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """`head_seconds` is for the whole head of a request, however many bytes of it come in between.

    `stall_seconds` is how long a client may read nothing of what waits for it.
    """

    head_seconds: float = HEAD_SECONDS
    stall_seconds: float = STALL_SECONDS
    flush_seconds: float = FLUSH_SECONDS
    most: int = MOST_CONNECTIONS
    most_of_address: int = MOST_OF_ADDRESS


class OpenConnections:
    """Counts open connections, for each client address too; a trusted proxy speaks for many clients.

    When there are too many, the one that has kept a request unfinished for longest goes: whoever sends whole requests
    gets in, however many connections somebody else just holds.
    """

    def __init__(self, limits: ConnectionLimits, proxies: Iterable[Network] = ()) -> None:
        self._limits = limits
        self._proxies = tuple(proxies)
        self._open: Counter[str] = Counter()
        self._unfinished: dict[object, Callable[[], None]] = {}

    def admit(self, address: str) -> bool:
        key = throttle_key(address)
        if self._open[key] >= self._limits.most_of_address and not is_inside(address, self._proxies):
            return False
        if self._open.total() >= self._limits.most:
            if not self._unfinished:
                return False
            self._unfinished.pop(next(iter(self._unfinished)))()
        self._open[key] += 1
        return True

    def leave(self, address: str) -> None:
        key = throttle_key(address)
        self._open[key] -= 1
        if self._open[key] <= 0:
            del self._open[key]

    def unfinished(self, connection: object, hang_up: Callable[[], None]) -> None:
        """It has begun no request, or not sent all of one; since when is what counts, not how often it is said."""
        self._unfinished.setdefault(connection, hang_up)

    def finished(self, connection: object) -> None:
        self._unfinished.pop(connection, None)


def bounded_protocol(limits: ConnectionLimits, proxies: Iterable[Network] = ()) -> type[H11Protocol]:
    """The class of the connections of one server."""
    connections = OpenConnections(limits, proxies)

    class BoundedProtocol(H11Protocol):
        _deadline: asyncio.TimerHandle | None = None
        _stalled: asyncio.TimerHandle | None = None
        _admitted = ""

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            address = self.client[0] if self.client is not None else "unknown"
            if connections.admit(address):
                self._admitted = address
                self._watch()
            else:
                transport.abort()

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            connections.finished(self)
            self._forget_deadline()
            self._forget_stall()
            if self._admitted:
                connections.leave(self._admitted)
                self._admitted = ""

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._watch()

        def pause_writing(self) -> None:
            super().pause_writing()
            self._forget_stall()
            self._stalled = self.loop.call_later(limits.stall_seconds, self.transport.abort)

        def resume_writing(self) -> None:
            super().resume_writing()
            self._forget_stall()

        def timeout_keep_alive_handler(self) -> None:
            super().timeout_keep_alive_handler()
            self._abort_later()

        def _watch(self) -> None:
            """The clock of a head starts with the connection, or with the first byte after an answer."""
            begun = self.cycle is not None and not self.cycle.response_complete
            if begun and not self.cycle.more_body:
                connections.finished(self)
            else:
                connections.unfinished(self, self.transport.abort)
            if begun:
                self._forget_deadline()
            elif self._deadline is None and not self.transport.is_closing():
                self._deadline = self.loop.call_later(limits.head_seconds, self._too_slow)

        def _too_slow(self) -> None:
            self.transport.close()
            self._abort_later()

        def _abort_later(self) -> None:
            # `close` waits until the peer has read what was sent: without end, when it never does.
            self.loop.call_later(limits.flush_seconds, self.transport.abort)

        def _forget_stall(self) -> None:
            if self._stalled is not None:
                self._stalled.cancel()
                self._stalled = None

        def _forget_deadline(self) -> None:
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None

    return BoundedProtocol

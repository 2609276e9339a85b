"""An HTTP/1.1 server for one handler: whole or streamed answers, protocol upgrades, and rough handling on purpose.

It is no framework because faults need the wire: hang, close without an answer, empty bodies. Bad input from the network
closes that connection and harms nothing else.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl

from edge_expose_local.http.exchange import BadRequestError, Exchange
from edge_expose_local.http.messages import Handler, Response

HANDSHAKE_SECONDS = 10.0
_GOODBYE_SECONDS = 0.5
_END_SECONDS = 1.0
log = logging.getLogger("edge_expose_local.http")


class HttpServer:
    """Serves one handler on the sockets given to `listen`; `close` ends them and every connection."""

    def __init__(self, handler: Handler, idle_seconds: float = 120.0) -> None:
        self._handler = handler
        self._idle = idle_seconds
        self._servers: list[asyncio.Server] = []
        self._exchanges: dict[asyncio.Task[None], Exchange] = {}
        self._sweep: asyncio.TimerHandle | None = None

    async def listen(self, sock: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        """Serves a listening socket, of TCP or a unix one."""
        if sock.family == socket.AF_UNIX:
            server = await asyncio.start_unix_server(self._connected, sock=sock)
        elif tls is None:
            server = await asyncio.start_server(self._connected, sock=sock)
        else:
            server = await asyncio.start_server(
                self._connected,
                sock=sock,
                ssl=tls,
                ssl_handshake_timeout=HANDSHAKE_SECONDS,
                ssl_shutdown_timeout=_GOODBYE_SECONDS,
            )
        self._servers.append(server)
        if self._sweep is None:
            self._sweep_later()

    def _sweep_later(self) -> None:
        self._sweep = asyncio.get_running_loop().call_later(self._idle / 12, self._drop_idle)

    def _drop_idle(self) -> None:
        """One timer for all connections: one for each request costs more than reading it."""
        longest = asyncio.get_running_loop().time() - self._idle
        for exchange in self._exchanges.values():
            if exchange.waiting_since is not None and exchange.waiting_since < longest:
                exchange.abort()
        self._sweep_later()

    @property
    def listening(self) -> bool:
        return bool(self._servers)

    async def close(self) -> None:
        """Stops listening and drops every connection, also one whose handler hangs."""
        for server in self._servers:
            server.close()
        self._servers.clear()
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        tasks = list(self._exchanges)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_END_SECONDS)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        exchange = self._exchanges[task] = Exchange(reader, writer)
        try:
            while await self._one(exchange):
                pass
        except (OSError, asyncio.IncompleteReadError):
            pass
        except asyncio.CancelledError:
            exchange.abort()  # the server is closed
        except ValueError:
            log.exception("an answer could not be written")
        finally:
            self._exchanges.pop(task, None)
            writer.close()

    async def _one(self, exchange: Exchange) -> bool:
        try:
            request = await exchange.request()
        except BadRequestError as error:
            await exchange.refuse(str(error))
            return False
        if request is None:
            return False
        try:
            response = await self._handler(request)
        except Exception:
            log.exception("%s %s failed", request.method, request.path)
            response = Response(500, b"internal error\n", {"Content-Type": "text/plain; charset=utf-8"})
        if response is None:
            return False
        if response.upgrade is not None:
            await exchange.upgrade(response)
            return False
        return await exchange.answer(response, response.close, request.method == "HEAD")

"""A part's control socket: JSON requests to one handler, reachable by the owner of the state folder alone."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from edge_expose_local.http.server import HttpServer, Request, Response, json_response
from edge_expose_local.private_files import control_path

ControlHandler = Callable[[str, str, Any], Awaitable[Any]]


class Refusal(Exception):
    """The request cannot be granted; the text says why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class ControlServer:
    """`handler(method, path, body)` returns the JSON answer or raises Refusal."""

    def __init__(self, state: Path, handler: ControlHandler) -> None:
        self._state = state
        self._handler = handler
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        path = control_path(self._state)
        previous = os.umask(0o177)
        try:
            self._server = await asyncio.start_unix_server(HttpServer(self._handle).connection, path=str(path))
        finally:
            os.umask(previous)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _handle(self, request: Request) -> Response | None:
        try:
            body = request.json() if request.body else None
        except ValueError:
            return json_response(400, {"error": "the body is no JSON"})
        try:
            return json_response(200, await self._handler(request.method, request.path, body))
        except Refusal as error:
            return json_response(error.status, {"error": str(error)})

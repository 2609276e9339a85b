"""A part's control socket: JSON requests to one handler, reachable by the owner of the state folder alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from edge_expose_local.control_socket import open_control_socket, remove_control_socket
from edge_expose_local.http.messages import Request, Response, json_response
from edge_expose_local.http.server import HttpServer

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
        self._server = HttpServer(self._handle)

    async def start(self) -> None:
        await self._server.listen(open_control_socket(self._state))

    async def stop(self) -> None:
        await self._server.close()
        remove_control_socket(self._state)

    async def _handle(self, request: Request) -> Response | None:
        try:
            body = request.json() if request.body else None
        except ValueError:
            return json_response(400, {"error": "the body is no JSON"})
        try:
            return json_response(200, await self._handler(request.method, request.path, body))
        except Refusal as error:
            return json_response(error.status, {"error": str(error)})

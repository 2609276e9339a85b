"""Requests, answers, and connections that another protocol takes over. Nothing here is sent or received yet."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from edge_expose_local.http import json_text

_CHUNK = 65536


@dataclass(frozen=True, slots=True)
class Request:
    """One request. Header names are in lower case; `headers` holds the last of each name, `every_header` all."""

    method: str
    path: str
    """As it came, with its percent signs."""
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes
    every_header: tuple[tuple[str, str], ...] = ()

    @property
    def plain_path(self) -> str:
        """The path without its percent-encoding."""
        return unquote(self.path)

    @property
    def segments(self) -> list[str]:
        """The percent-decoded parts of the path. Raises UnicodeError for what is no UTF-8."""
        return [unquote(part, errors="strict") for part in self.path.split("/") if part]

    def arg(self, name: str, default: str = "") -> str:
        """The first value of a query argument."""
        values = self.query.get(name)
        return values[0] if values else default

    def flag(self, name: str) -> bool:
        """Whether a query argument is true, as Kubernetes reads booleans."""
        return self.arg(name) in ("true", "1")

    def json(self) -> Any:
        """Raises ValueError for anything but JSON."""
        return json_text.loads(self.body)


class Connection:
    """The bytes of a connection that was upgraded, those that came along with the request first."""

    def __init__(self, first: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._first = first
        self._reader = reader
        self.writer = writer

    async def read(self) -> bytes:
        """What came; b"" at the end."""
        first, self._first = self._first, b""
        return first or await self._reader.read(_CHUNK)

    async def readexactly(self, count: int) -> bytes:
        """Raises asyncio.IncompleteReadError at the end."""
        taken, self._first = self._first[:count], self._first[count:]
        return taken + await self._reader.readexactly(count - len(taken))


@dataclass(frozen=True, slots=True)
class Response:
    """A whole `body`, or chunks of a `stream`. `upgrade` takes the connection over after a 101 and ends with it."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    close: bool = False
    stream: AsyncGenerator[bytes, None] | None = None
    upgrade: Callable[[Connection], Awaitable[None]] | None = None


Handler = Callable[[Request], Awaitable["Response | None"]]
"""Answers a request; None closes the connection without an answer."""


def json_response(status: int, value: Any, headers: dict[str, str] | None = None) -> Response:
    return Response(
        status, json.dumps(value).encode(), {"Content-Type": "application/json; charset=utf-8", **(headers or {})}
    )

"""Calls on a part's control socket: HTTP/1.1 with JSON bodies over a unix socket that only its owner can open."""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path
from typing import Any


class ControlError(Exception):
    """The part is not there, or refuses; the text is fit for a person."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def call(state: Path, method: str, path: str, body: Any = None, timeout: float = 30.0) -> Any:
    """The JSON answer of the part whose state folder this is. Raises ControlError."""
    try:
        address = (state / "control.path").read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ControlError(f"{state.name} is not running (no {state / 'control.path'})") from error
    connection = _UnixConnection(address, timeout)
    try:
        text = json.dumps(body) if body is not None else None
        connection.request(method, path, body=text, headers={"Content-Type": "application/json"})
        response = connection.getresponse()
        data = response.read()
        content = json.loads(data) if data else None
    except (OSError, http.client.HTTPException) as error:
        raise ControlError(f"{state.name} does not answer ({type(error).__name__})") from error
    except ValueError as error:
        raise ControlError(f"{state.name} answered no JSON") from error
    finally:
        connection.close()
    if response.status >= 400:
        told = content.get("error") or content.get("message") if isinstance(content, dict) else None
        raise ControlError(str(told or f"{state.name} answered {response.status}"), response.status)
    return content

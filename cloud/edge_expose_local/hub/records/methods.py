"""What a direct method call asks for, sent at once or by a job. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from edge_expose_local.hub.errors import HubError, argument_invalid

JsonObject = dict[str, Any]
MAX_METHOD_PAYLOAD = 128 * 1024


@dataclass(frozen=True, slots=True)
class MethodCall:
    """`payload` is JSON text; the timeouts are seconds."""

    name: str
    payload: bytes
    response_timeout: int
    connect_timeout: int


def _seconds(body: JsonObject, name: str, default: int, low: int, high: int) -> int:
    value = body.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise argument_invalid(f"{name} must be within [{low}; {high}].", "nested")
    return value


def read_method(body: JsonObject) -> MethodCall:
    """The body of a method call, or `cloudToDeviceMethod` of a job. Raises HubError 400 or 413."""
    name = body.get("methodName")
    if not isinstance(name, str) or not name or not name.isascii() or len(name) > 100:
        raise argument_invalid("methodName is not a US-ASCII name of 1 to 100 characters", "nested")
    response_timeout = _seconds(body, "responseTimeoutInSeconds", 30, 5, 300)
    connect_timeout = _seconds(body, "connectTimeoutInSeconds", 0, 0, 300)
    if connect_timeout > response_timeout:
        raise argument_invalid("connectTimeoutInSeconds is larger than responseTimeoutInSeconds", "nested")
    payload = json.dumps(body.get("payload")).encode()
    if len(payload) > MAX_METHOD_PAYLOAD:
        raise HubError(413, "RequestEntityTooLarge", "the payload is larger than 128 KB", 413001)
    return MethodCall(name, payload, response_timeout, connect_timeout)

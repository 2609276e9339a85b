"""What the calls of the control API have in common: bodies, keys, refusals. Pure."""

from __future__ import annotations

from typing import Any

from edge_expose_local.http.messages import Request
from edge_expose_local.hub.hub import Hub
from edge_expose_local.hub.records.identities import TwinKey

JsonObject = dict[str, Any]


class ControlError(Exception):
    """The request cannot be granted; the text says why."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def read_body(request: Request) -> JsonObject:
    try:
        body = request.json()
    except ValueError as error:
        raise ControlError(400, "the body is no JSON") from error
    if not isinstance(body, dict):
        raise ControlError(400, "the body is not an object")
    return body


def key_of(hub: Hub, values: JsonObject, module_needed: bool = False) -> TwinKey:
    """The identity that `device` and `module` name. Raises ControlError 400 or 404."""
    key = TwinKey(str(values.get("device", "")), values.get("module") or None)
    if module_needed and key.module is None:
        raise ControlError(400, "device and module are needed")
    if key not in hub.state.identities:
        raise ControlError(404, f"'{key}' is not registered")
    return key


def settings_view(hub: Hub) -> JsonObject:
    settings = hub.state.settings
    return {
        "siblings": settings.siblings,
        "twin-replies": "strict" if settings.strict_replies else "lax",
        "concurrent-jobs": settings.concurrent_jobs,
    }

"""The form of an edgeHub route: FROM source [WHERE condition] INTO sink. Pure."""

from __future__ import annotations

import re

_ROUTE = re.compile(
    r"\s*(?:SELECT\s+\*\s+)?FROM\s+(\S+)\s+(?:WHERE\s+(.+?)\s+)?INTO\s+(.+?)\s*", re.IGNORECASE | re.DOTALL
)
_SOURCE = re.compile(
    r"/\*|/twinChangeNotifications|/messages/\*|/messages/modules/\*|/messages/modules/[^/\s]+(?:/\*|/outputs/\*|/outputs/[^/\s]+)?",
    re.IGNORECASE,
)
_BROKERED = re.compile(r"BrokeredEndpoint\s*\(\s*\"(/modules/[^/\"\s]+/inputs/[^/\"\s]+)\"\s*\)", re.IGNORECASE)
_MODULE = re.compile(r"/modules/([^/\"\s*]+)")


def check_route(text: str) -> str | None:
    """What is wrong with the route, or None. The condition is left to edgeHub."""
    match = _ROUTE.fullmatch(text)
    if match is None:
        return f"{text!r} is not FROM source [WHERE condition] INTO sink"
    if not _SOURCE.fullmatch(match[1]):
        return f"{match[1]!r} is not a source: /*, /twinChangeNotifications, /messages/*, /messages/modules/NAME/* ..."
    sink = match[3]
    if sink.lower() != "$upstream" and not _BROKERED.fullmatch(sink):
        return f'{sink!r} is not a sink: $upstream or BrokeredEndpoint("/modules/NAME/inputs/NAME")'
    return None


def modules_in_route(text: str) -> list[str]:
    """The modules a route names, in order."""
    return list(dict.fromkeys(_MODULE.findall(text)))

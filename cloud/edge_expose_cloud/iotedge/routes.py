"""The form of an edgeHub route: FROM source [WHERE condition] INTO sink. Pure.

edgeHub takes any path as source (`/`, then names or `*`) and compares it with where a message comes from, by prefix. So
a path that no message comes from is no error: the route is just never used.
"""

from __future__ import annotations

import re

_ROUTE = re.compile(
    r"\s*(?:SELECT\s+\*\s+)?FROM\s+(\S+)\s+(?:WHERE\s+(.+?)\s+)?INTO\s+(.+?)\s*", re.IGNORECASE | re.DOTALL
)
_PATH = re.compile(r"(?:/[^/\s]+)+")
_BROKERED = re.compile(r"BrokeredEndpoint\s*\(\s*\"(/modules/[^/\"\s]+/inputs/[^/\"\s]+)\"\s*\)", re.IGNORECASE)
_MODULE = re.compile(r"/modules/([^/\"\s*]+)")
# The documented paths that messages come from; None stands for any name.
_SOURCES: tuple[tuple[str | None, ...], ...] = (
    ("messages", "modules", None, "outputs", None),
    ("twinchangenotifications",),
)


def check_route(text: str) -> str | None:
    """Why edgeHub refuses the route, or None. The condition is left to edgeHub."""
    match = _ROUTE.fullmatch(text)
    if match is None:
        return f"{text!r} is not FROM source [WHERE condition] INTO sink"
    if not _PATH.fullmatch(match[1]):
        return f"{match[1]!r} is not a source: it is a path, such as /*, /messages/* or /messages/modules/NAME/*"
    sink = match[3]
    if sink.lower() != "$upstream" and not _BROKERED.fullmatch(sink):
        return f'{sink!r} is not a sink: $upstream or BrokeredEndpoint("/modules/NAME/inputs/NAME")'
    return None


def unused_source(text: str) -> str | None:
    """The source of a route that edgeHub takes, where no documented source begins so; else None."""
    match = _ROUTE.fullmatch(text)
    if match is None or not _PATH.fullmatch(match[1]):
        return None
    parts = match[1].lower().split("/")[1:]
    # A star at the end stands for all that follows.
    named = parts[:-1] if parts[-1] == "*" else parts
    return None if any(_begins(named, source) for source in _SOURCES) else match[1]


def modules_in_route(text: str) -> list[str]:
    """The modules a route names, in order."""
    return list(dict.fromkeys(_MODULE.findall(text)))


def _begins(parts: list[str], source: tuple[str | None, ...]) -> bool:
    """Whether messages of a source have a path that begins so; what follows an output is compared by prefix, too."""
    if len(parts) > len(source) and source[-1] is not None:
        return False
    return all(part in ("*", name) or name is None for part, name in zip(parts, source, strict=False))

"""Ports in one text, as people read them; neighbours of one kind as a range. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from edge_expose_cloud.hub.api import Json


def ports_of_service(service: Json) -> str:
    """`8080→80/tcp, 5000-5099→5000-5099/udp` of a Service object."""
    return folded_ports(
        f"{port['port']}→{port.get('targetPort', port['port'])}/{str(port.get('protocol', 'TCP')).lower()}"
        for port in service.get("spec", {}).get("ports") or ()
    )


def folded_ports(ports: Iterable[str]) -> str:
    """Ports in one text; neighbours of one kind as a range: `5000-5099:5000-5099/udp`."""
    runs: list[tuple[str, str, str, int, int]] = []
    for port in ports:
        found = re.fullmatch(r"(\d+)(:|→)(\d+)(/[a-z]+)?", str(port))
        if found is None:
            runs.append((str(port), "", "", 0, 0))
            continue
        first, between, second, protocol = found[1], found[2], found[3], found[4] or ""
        last = runs[-1] if runs else None
        if (
            last is not None
            and last[3]
            and (last[1], last[2]) == (between, protocol)
            and last[3:] == (int(first) - 1, int(second) - 1)
        ):
            runs[-1] = (last[0], between, protocol, int(first), int(second))
        else:
            runs.append((f"{first}{between}{second}", between, protocol, int(first), int(second)))
    return ", ".join(_run(*run) for run in runs)


def _run(start: str, between: str, protocol: str, last: int, last_target: int) -> str:
    first, _, target = start.partition(between) if between else (start, "", "")
    if not between or int(first) == last:
        return f"{start}{protocol}"
    return f"{first}-{last}{between}{target}-{last_target}{protocol}"

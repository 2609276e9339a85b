"""A port for a Service that must publish one, and that leads to nobody. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

from edge_expose_module.cluster.service import Port

_EVERY: Final = ((1, 65535),)
_NO_PORT_OF_A_POD: Final = "edge-no-port"


def spare_port(used: Collection[Port], allowed: Sequence[tuple[int, int]] | None) -> Port:
    """The last port that is not among `used`, of the (first, last) ranges that the guard rails allow: an admission
    policy that enforces them knows no exceptions. Where these have none left any one, which such a policy refuses.

    A number that nobody uses comes before the other protocol of one that somebody does: some load balancers do not tell
    the two apart.
    """
    numbers = {number for _, number in used}
    for ranges in (allowed or _EVERY, _EVERY):
        found = next((number for number in _last_first(ranges) if number not in numbers), None)
        if found is not None:
            return ("TCP", found)
        other = next((port for n in _last_first(ranges) for port in (("TCP", n), ("UDP", n)) if port not in used), None)
        if other is not None:
            return other
    raise ValueError("every port is in use")  # pragma: no cover - a Service has at most some hundreds


def leads_nowhere(port: Port) -> dict[str, Any]:
    """Its entry in a Service: no pod has a port of that name, whichever pods the Service selects."""
    protocol, number = port
    return {
        "name": f"{protocol.lower()}-{number}",
        "port": number,
        "targetPort": _NO_PORT_OF_A_POD,
        "protocol": protocol,
    }


def _last_first(ranges: Sequence[tuple[int, int]]) -> Iterator[int]:
    for first, last in sorted(ranges, reverse=True):
        yield from range(last, first - 1, -1)

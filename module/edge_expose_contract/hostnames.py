"""Which exposure carries a host name that several ask for, and which of its Services: one, so that external-dns has one
answer. Both the plan of the cloud and the module follow it."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from edge_expose_contract.models import Exposure
from edge_expose_contract.services import service_shapes


def without_their_hostname(wanted: Mapping[str, str], carried: Collection[tuple[str, str]] = ()) -> dict[str, str]:
    """Exposures that do not get the host name they ask for, each with the one that carries it.

    `wanted` is the host name of each exposure, `carried` who has which now: who has it keeps it, else the first by name
    gets it.
    """
    by_hostname: dict[str, list[str]] = {}
    for name, hostname in wanted.items():
        by_hostname.setdefault(hostname, []).append(name)
    losers: dict[str, str] = {}
    for hostname, names in by_hostname.items():
        winner = min(names, key=lambda name: ((name, hostname) not in carried, name))
        losers.update(dict.fromkeys((name for name in names if name != winner), winner))
    return losers


def plain(exposure: Exposure) -> Exposure:
    """The same exposure without a host name."""
    return exposure.model_copy(update={"hostname": None})


def twice_text(hostname: str, loser: str, winner: str) -> str:
    return f"hostname {hostname} of exposure {loser} is carried by exposure {winner} alone; give each its own"


def halves_text(name: str, exposure: Exposure) -> str:
    """What is said of an exposure whose host name stands on one of its two Services; empty for any other."""
    shapes = service_shapes(name, exposure, "") if exposure.hostname is not None else ()
    if len(shapes) < 2:
        return ""
    return f"hostname {exposure.hostname} stands on Service {shapes[0].name} alone: {shapes[1].name} has its address"

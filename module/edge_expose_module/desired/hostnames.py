"""One host name, one Service: who of several exposures carries it now. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from edge_expose_contract.hostnames import halves_text, plain, twice_text, without_their_hostname
from edge_expose_contract.identity import HOSTNAME_ANNOTATION
from edge_expose_contract.models import Exposure
from edge_expose_module.cluster.service import ObservedService
from edge_expose_module.desired.resolved import ResolvedExposure


@dataclass(frozen=True, slots=True)
class SharedHostnames:
    """`losers` do not carry the host name they ask for; each with the exposure that does."""

    losers: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def carried(self, name: str, exposure: Exposure) -> Exposure:
        """The exposure as its Services carry it."""
        return plain(exposure) if name in self.losers else exposure


def share_hostnames(
    standing: Mapping[str, ResolvedExposure], owned: Iterable[ObservedService], kept: Collection[str]
) -> SharedHostnames:
    """`kept` are exposures whose Services stay as they are, with the host name they carry."""
    carried = {
        (service.exposure, service.annotations[HOSTNAME_ANNOTATION])
        for service in owned
        if service.exposure is not None and HOSTNAME_ANNOTATION in service.annotations
    }
    wanted = {name: hostname for name, hostname in sorted(carried) if name in kept}
    wanted |= {
        n: wanted.exposure.hostname for n, wanted in sorted(standing.items()) if wanted.exposure.hostname is not None
    }
    losers = without_their_hostname(wanted, carried)
    warnings = [twice_text(wanted[loser], loser, winner) for loser, winner in sorted(losers.items())]
    halves = (halves_text(name, wanted.exposure) for name, wanted in sorted(standing.items()) if name not in losers)
    return SharedHostnames(losers, tuple(warnings) + tuple(text for text in halves if text))

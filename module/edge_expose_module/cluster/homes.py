"""In which namespaces this module works, and which of the objects with its labels there are its own. Pure.

Labels can be copied by whoever may write Services in a namespace of their own. So an object counts as ours only in a
namespace of its exposure: where the document wants it, or where the state file says that this module made it. Whoever
may write Services there can change ours anyway.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from edge_expose_contract.identity import LABEL_EXPOSURE
from edge_expose_contract.names import UDP_SUFFIX
from edge_expose_module.cluster.service import CLAIM_SUFFIX, ObservedService
from edge_expose_module.cluster.state import Observed


@dataclass(frozen=True, slots=True)
class Homes:
    """`defaults` are the namespaces of exposures that name none; `by_exposure` those of each exposure that is known.

    `complete` means that the state file names every exposure that has an object of ours. Without it (a new disk, or a
    state file of an older release) the labels are believed in all these namespaces, also of unknown exposures.
    """

    defaults: frozenset[str]
    by_exposure: Mapping[str, frozenset[str]] = field(default_factory=dict)
    complete: bool = False

    @property
    def namespaces(self) -> frozenset[str]:
        """Every namespace in which this module works."""
        return self.defaults.union(*self.by_exposure.values())

    def labelled(self, observed: Observed, owner: str) -> tuple[ObservedService, ...]:
        """Services with our labels in any of them, also of exposures that only another process of this module knows."""
        found = (service for service in observed.services.values() if service.carries_labels_of(owner))
        return tuple(service for service in found if service.namespace in self.namespaces)

    def has(self, service: ObservedService) -> bool:
        """Whether a Service with our labels may be ours. One of a name that we give counts, whatever the label of the
        exposure was changed to."""
        names = {service.exposure or "", service.name}
        names |= {service.name.removesuffix(suffix) for suffix in (UDP_SUFFIX, CLAIM_SUFFIX)}
        return self._hold(names, service.namespace)

    def has_companion(self, labels: Mapping[str, str], namespace: str) -> bool:
        """The same of an EndpointSlice or Endpoints, by its labels."""
        return self._hold((labels.get(LABEL_EXPOSURE, ""),), namespace)

    def _hold(self, exposures: Iterable[str], namespace: str) -> bool:
        if not self.complete:
            return namespace in self.namespaces
        return any(namespace in self.by_exposure.get(name, ()) for name in exposures)


def stray_text(look_alikes: Iterable[ObservedService]) -> tuple[str, ...]:
    """What is told of Services that carry our labels and are not ours; empty when there are none."""
    keys = sorted(service.key for service in look_alikes)
    if not keys:
        return ()
    return (
        f"Services with this module's labels in places where it made none are not touched, such as "
        f"{'/'.join(keys[0])}: take the labels off, or delete them",
    )

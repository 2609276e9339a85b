"""Taking over a Service that somebody else made: what would be lost by it, and what is said of it. Pure.

Nothing is dropped in silence: what the Service says and the exposure does not holds the takeover back, until the
exposure says it too or says otherwise. So the document tells the whole truth, also when the cluster is rebuilt from it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from edge_expose_contract.models import Exposure
from edge_expose_module.blocks import Block
from edge_expose_module.cluster.service import ObservedService, ports_text
from edge_expose_module.cluster.state import Observed
from edge_expose_module.desired.rails.model import Guards
from edge_expose_module.desired.rails.refuse import adoption
from edge_expose_module.desired.resolved import ResolvedExposure


def why_not_adopted(service: ObservedService, exposure: Exposure, observed: Observed, guards: Guards) -> Block | None:
    """Why a Service that is not ours is not taken over by an exposure with `adopt: true`."""
    where = f"{service.namespace}/{service.name}"
    refused = adoption(guards, where)
    if refused is not None:
        return refused
    dropped = list(_dropped(service, exposure, observed))
    if not dropped:
        return None
    told = f"taking over Service {where} would drop {', '.join(dropped)}"
    text = f"{told}; say them in the exposure, or take them off the Service first"
    return Block.of("AdoptionWouldDrop", text, service=where, fields=", ".join(dropped))


def warnings(standing: Mapping[str, ResolvedExposure], owned: Collection[ObservedService]) -> tuple[str, ...]:
    """What whoever adopts should know, as long as the exposure says `adopt`."""
    found = {service.exposure: f"{service.namespace}/{service.name}" for service in owned}
    return tuple(
        f"exposure {name} took Service {found[name]} over (adopt): withdrawing the exposure deletes it, as any of ours"
        for name, wanted in sorted(standing.items())
        if wanted.exposure.adopt and name in found
    )


def _dropped(service: ObservedService, exposure: Exposure, observed: Observed) -> Iterator[str]:
    """Each with the field that would say it. A field that is written, also with its default, is a word."""
    spec, said = service.spec, exposure.model_fields_set
    if exposure.allow_from is None and (ranges := spec.get("loadBalancerSourceRanges")):
        yield f"loadBalancerSourceRanges {', '.join(map(str, ranges))} (allowFrom)"
    if "session_affinity" not in said and spec.get("sessionAffinity", "None") != "None":
        yield f"sessionAffinity {spec['sessionAffinity']} (sessionAffinity)"
    if "external_traffic_policy" not in said and spec.get("externalTrafficPolicy", "Cluster") != "Cluster":
        yield f"externalTrafficPolicy {spec['externalTrafficPolicy']} (externalTrafficPolicy)"
    if exposure.load_balancer_class is None and service.load_balancer_class:
        yield f"loadBalancerClass {service.load_balancer_class} (loadBalancerClass)"
    if missing := sorted(service.ports - exposure.published):
        yield f"port {ports_text(missing)} (ports)"
    if exposure.is_external:
        yield from _dropped_of_request(service, exposure, observed)


def _dropped_of_request(service: ObservedService, exposure: Exposure, observed: Observed) -> Iterator[str]:
    key = observed.sharing_key(service)
    if exposure.share is None and key:
        yield f"sharing key {key} (share)"
    pool = observed.load_balancer_for(service.load_balancer_class).pool_named_by(service)
    if exposure.pool is None and pool:
        yield f"pool {pool} (pool)"

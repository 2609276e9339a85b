"""The full answer to "why": every check made for one exposure, in order, with what was found and what to do. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edge_expose_contract.identity import State
from edge_expose_contract.services import selector_of, selector_text
from edge_expose_module.cluster.state import Observed
from edge_expose_module.load_balancers.api import LoadBalancer
from edge_expose_module.reconcile import PassPlan
from edge_expose_module.status.assess import Status


@dataclass(frozen=True, slots=True)
class Check:
    """`ok` None means it could not be looked at."""

    what: str
    ok: bool | None
    found: str


def explain(name: str, status: Status, pass_plan: PassPlan, observed: Observed, owner: str) -> dict[str, Any]:
    """A JSON object with the state, the reason and the list of checks."""
    checks = [Check("the document asks for it", status.state is not State.DISABLED, str(status.state))]
    wanted = pass_plan.resolved.exposures.get(name)
    block = pass_plan.blocks.get(name)
    checks.append(Check("the wish can be granted as it stands", block is None, block.message if block else "yes"))
    own = [service for service in observed.owned(owner) if service.exposure == name]
    names = ", ".join(f"{service.namespace}/{service.name}" for service in own) or "none"
    checks.append(Check("its Service exists", bool(own), names))
    if wanted is not None and wanted.exposure.is_external:
        load_balancer = observed.load_balancer_for(wanted.exposure.load_balancer_class)
        checks.append(_load_balancer(load_balancer))
        checks.append(_pool(load_balancer))
        assigned = ", ".join(str(address) for service in own for address in service.assigned)
        checks.append(Check("an external address is assigned", bool(assigned), assigned or "none"))
        answer = next((found for service in own if (found := observed.explanation(service)) is not None), None)
        checks.append(Check("the load balancer has no complaint", answer is None, answer.message if answer else "none"))
    if wanted is not None and own:
        selector = selector_of(wanted.exposure)
        if selector is not None:
            matching = observed.pods_matching(own[0].namespace, selector)
            checks.append(
                Check(
                    "pods match the selector",
                    None if matching is None else matching > 0,
                    f"{matching} of this namespace with {selector_text(selector)}",
                )
            )
        if own[0].namespace in observed.without_endpoints:
            checks.append(Check("endpoints are ready", None, "they may not be read"))
        else:
            ready = observed.ready.get(own[0].key, 0)
            checks.append(Check("endpoints are ready", ready > 0, f"{ready} ready"))
    for denied in observed.denied:
        checks.append(Check("the module may read what it needs", None, f"RBAC denies: {denied}"))
    return {
        "exposure": name,
        "state": str(status.state),
        "reason": status.reason,
        "message": status.message,
        "values": list(status.values),
        "address": status.address,
        "service": status.service,
        "checks": [{"check": check.what, "ok": check.ok, "found": check.found} for check in checks],
    }


def _load_balancer(load_balancer: LoadBalancer) -> Check:
    return Check("a load balancer we know is there", load_balancer.answers_alone or None, load_balancer.name)


def _pool(load_balancer: LoadBalancer) -> Check:
    what = "the address pools are sound"
    if load_balancer.pool_error:
        return Check(what, False, load_balancer.pool_error)
    if load_balancer.pools is None:
        return Check(what, None, "they cannot be read; the site's copy is used")
    texts = [f"{pool.name}: {pool.addresses}" for pool in load_balancer.pools]
    return Check(what, bool(texts), "; ".join(texts) or "there is none")

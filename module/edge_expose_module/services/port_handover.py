"""Ports of a shared address change hands: a Service takes one once no other Service there publishes it any more. Pure.

A load balancer takes the address away from a Service that asks for a port which another one there has. So the change of
the taker waits until the giver has changed, in this pass or a later one. Where each waits for the other, one of them
gives first, and publishes meanwhile what nobody has.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter
from typing import Any

from edge_expose_contract.addressing import Address
from edge_expose_module.blocks import Block
from edge_expose_module.cluster.service import Key, ObservedService
from edge_expose_module.cluster.state import Observed
from edge_expose_module.load_balancers.api import Claim
from edge_expose_module.services.plan import Change, Plan, Verb
from edge_expose_module.services.spare_ports import Port, leads_nowhere, spare_port

_Holders = Mapping[Address, Sequence[ObservedService]]


@dataclass(frozen=True, slots=True)
class _Taker:
    """A Service whose change takes ports that others still have, by those others."""

    change: Change
    service: ObservedService
    givers: Mapping[Key, Block]

    @property
    def key(self) -> Key:
        return self.service.key


def in_turn(plan: Plan, observed: Observed, allowed_ports: Sequence[tuple[int, int]] | None) -> Plan:
    """The plan without the changes that have to wait, and why they do; `allowed_ports` are those of the guard rails."""
    holders: dict[Address, list[ObservedService]] = defaultdict(list)
    for service in observed.services.values():
        for address in service.assigned:
            holders[address].append(service)
    found = (_taker(change, observed, holders) for change in plan.changes if change.verb is Verb.PATCH)
    takers = {taker.key: taker for taker in found if taker is not None}
    if not takers:
        return plan
    yielding = {key: _yielding(takers[key], observed, allowed_ports) for key in _who_give_first(takers)}
    changes: list[Change] = []
    for change in plan.changes:
        key = (change.namespace, change.name)
        if change.kind != "Service" or change.verb is not Verb.PATCH or key not in takers:
            changes.append(change)
        elif key in yielding:
            changes.append(yielding[key])
    waiting = {key: next(iter(taker.givers.values())) for key, taker in takers.items()}
    return replace(plan, changes=tuple(changes), waiting=waiting)


def _taker(change: Change, observed: Observed, holders: _Holders) -> _Taker | None:
    service = observed.services.get((change.namespace, change.name)) if change.kind == "Service" else None
    if service is None or not service.assigned:
        return None  # it has no address to lose
    after = _patched(service, change.body or {})
    givers: dict[Key, Block] = {}
    for address in observed.requested(after) or service.assigned:
        taken = after.ports - service.ports if address in service.assigned else after.ports
        for other in holders.get(address, ()):
            block = _why_not_yet(address, taken, after, other, observed) if other.key != service.key else None
            if block is not None:
                givers.setdefault(other.key, block)
    return _Taker(change, service, givers) if givers else None


def _why_not_yet(
    address: Address, taken: frozenset[Port], after: ObservedService, other: ObservedService, observed: Observed
) -> Block | None:
    """Whether the other one has a port that is to be taken. Those that do not share are no matter of ports."""
    key = observed.sharing_key(other)
    if not taken or not key or observed.sharing_key(after) != key:
        return None
    theirs = Claim(f"Service {other.namespace}/{other.name}", None, other.ports, key, "", other.namespace)
    mine = replace(theirs, party="", ports=taken)  # like the other one in everything but its ports
    block = observed.load_balancer_for(after.load_balancer_class).why_not_shared(address, mine, theirs)
    if block is None:
        return None
    what, _, _ = block.message.partition(";")
    return replace(block, message=f"{what}; it is taken over as soon as that one gives it up")


def _who_give_first(takers: Mapping[Key, _Taker]) -> frozenset[Key]:
    """One of each ring of Services that wait for each other."""
    found: frozenset[Key] = frozenset()
    while True:
        left = takers.keys() - found
        try:
            TopologicalSorter({key: sorted(takers[key].givers.keys() & left) for key in sorted(left)}).prepare()
        except CycleError as error:
            found |= {min(error.args[1])}
        else:
            return found


def _yielding(taker: _Taker, observed: Observed, allowed_ports: Sequence[tuple[int, int]] | None) -> Change:
    """Its change, for the time being without the ports that others have, and without anything else."""
    body = taker.change.body or {}
    wanted = (body.get("spec") or {}).get("ports") or taker.service.spec["ports"]
    theirs = {number for key in taker.givers for _, number in observed.services[key].ports}
    ports = [port for port in wanted if port["port"] not in theirs]
    if not ports:
        key = observed.sharing_key(taker.service)
        used = {(protocol, port["port"]) for port in wanted for protocol in ("TCP", "UDP")}
        for service in observed.services.values():
            if observed.sharing_key(service) == key:
                used |= service.ports
        ports = [leads_nowhere(spare_port(used, allowed_ports))]
    metadata = {"resourceVersion": taker.service.resource_version}
    return replace(taker.change, why="gives its ports first", body={"metadata": metadata, "spec": {"ports": ports}})


def _patched(service: ObservedService, patch: Mapping[str, Any]) -> ObservedService:
    """The Service as it is after the patch, in what says what it publishes and asks for."""
    metadata = service.body["metadata"]
    annotations = {**service.annotations, **((patch.get("metadata") or {}).get("annotations") or {})}
    kept = {key: value for key, value in annotations.items() if value is not None}
    spec = {**service.spec, **(patch.get("spec") or {})}
    return ObservedService.of({**service.body, "metadata": {**metadata, "annotations": kept}, "spec": spec})

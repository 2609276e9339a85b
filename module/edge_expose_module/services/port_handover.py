"""Ports of a shared address change hands: a Service takes one once no other Service there publishes it any more. Pure.

A load balancer takes the address away from a Service that asks for a port which another one there has. So the change of
the taker waits for a later pass, in which the giver has changed. Where each waits for the other, one of them gives
first, and publishes meanwhile what nobody has, if nothing else is left to it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter
from typing import Any

from edge_expose_contract.addressing import Address, parse_range
from edge_expose_contract.violations import RuleError
from edge_expose_module.blocks import Block
from edge_expose_module.cluster.service import Key, ObservedService
from edge_expose_module.cluster.state import Observed, service_of
from edge_expose_module.load_balancers.api import Claim
from edge_expose_module.services.plan import Change, Plan, Verb
from edge_expose_module.services.spare_ports import Port, leads_nowhere, ports_of, spare_port

_Holders = Mapping[Address, Sequence[ObservedService]]
_RANGES = "loadBalancerSourceRanges"


@dataclass(frozen=True, slots=True)
class _Taker:
    """A Service whose change takes ports that others still have, and why not from each of those."""

    change: Change
    service: ObservedService
    givers: Mapping[Key, Block]

    @property
    def narrowed(self) -> Mapping[str, Any]:
        """What of its change does not wait: that fewer clients may connect."""
        ranges = ((self.change.body or {}).get("spec") or {}).get(_RANGES)
        return {_RANGES: ranges} if _narrows(self.service.spec.get(_RANGES), ranges) else {}

    def meanwhile(self, spec: Mapping[str, Any]) -> Change:
        body = {"metadata": {"resourceVersion": self.service.resource_version}, "spec": spec}
        return replace(self.change, body=body)


def in_turn(plan: Plan, observed: Observed, allowed_ports: Sequence[tuple[int, int]] | None) -> Plan:
    """The plan with what may be done now of changes that have to wait, and one reason each why they do.

    `allowed_ports` are (first, last) numbers of the guard rails, None for all.
    """
    holders: dict[Address, list[ObservedService]] = defaultdict(list)
    for service in observed.services.values():
        for address in service.assigned:
            holders[address].append(service)
    found = (_taker(change, observed, holders) for change in plan.changes)
    takers = {taker.service.key: taker for taker in found if taker is not None}
    if not takers:
        return plan
    now = {key: taker.meanwhile(taker.narrowed) for key, taker in takers.items() if taker.narrowed}
    asked_for = {port for change in plan.changes if change.body for port in ports_of(change.body)}
    rings: list[tuple[Change, ...]] = []
    for first, ring in _rings(takers):
        if now.keys() & ring:
            continue  # in the next pass
        kept = _kept(takers[first], holders, asked_for, allowed_ports)
        asked_for.update(ports_of({"spec": {"ports": kept}}))
        now[first] = takers[first].meanwhile({"ports": kept})
        rings.append(tuple(takers[key].change for key in ring))
    changes: list[Change] = []
    for change in plan.changes:
        key = (change.namespace, change.name)
        if change.kind != "Service":
            # The ports of a Service and of its endpoints go by the same names.
            whose = service_of(observed.companions.get((change.kind, *key), change.body or {}))
            changes.extend([] if whose in takers else [change])
        elif key in takers and takers[key].change is change:
            changes.extend([now[key]] if key in now else [])
        else:
            changes.append(change)
    waiting = {key: next(iter(taker.givers.values())) for key, taker in takers.items()}
    return replace(plan, changes=tuple(changes), rings=tuple(rings), waiting=waiting)


def _taker(change: Change, observed: Observed, holders: _Holders) -> _Taker | None:
    service = observed.services.get((change.namespace, change.name))
    if change.kind != "Service" or change.verb is not Verb.PATCH or service is None or not service.assigned:
        return None  # or it has no address to lose
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
    port, _, holder = block.values
    text = f"port {port} on shared address {address} is held by {holder}; it is taken over once that one gives it up"
    return replace(block, message=text)


def _rings(takers: Mapping[Key, _Taker]) -> Iterator[tuple[Key, frozenset[Key]]]:
    """Services that wait for each other, and the one of each ring that gives first."""
    left = set(takers)
    while True:
        try:
            TopologicalSorter({key: sorted(takers[key].givers.keys() & left) for key in sorted(left)}).prepare()
        except CycleError as error:
            ring = frozenset(error.args[1])
            yield min(ring), ring
            left.remove(min(ring))
        else:
            return


def _kept(
    taker: _Taker, holders: _Holders, asked_for: set[Port], allowed_ports: Sequence[tuple[int, int]] | None
) -> list[dict[str, Any]]:
    """What it publishes now and goes on with: giving takes nothing, so that nobody can be in the way."""
    wanted = _patched(taker.service, taker.change.body or {}).ports
    ports = [port for port in taker.service.spec["ports"] if (str(port.get("protocol", "TCP")), port["port"]) in wanted]
    if ports:
        return ports
    used = {port for address in taker.service.assigned for other in holders[address] for port in other.ports}
    return [leads_nowhere(spare_port(used | asked_for, allowed_ports))]


def _narrows(before: Sequence[str] | None, after: Sequence[str] | None) -> bool:
    """Whether all who may connect after a change could before; no ranges mean everybody."""
    try:
        outer = [parse_range(text) for text in before or ()]
        inner = [parse_range(text) for text in after or ()]
    except RuleError:
        return False  # somebody wrote what the API server reads and we do not
    return bool(inner) and (not outer or all(any(i.first in o and i.last in o for o in outer) for i in inner))


def _patched(service: ObservedService, patch: Mapping[str, Any]) -> ObservedService:
    """The Service as it is after the patch, in what it publishes and asks for, and in nothing else."""
    metadata = service.body["metadata"]
    annotations = {**service.annotations, **((patch.get("metadata") or {}).get("annotations") or {})}
    kept = {key: value for key, value in annotations.items() if value is not None}
    spec = {**service.spec, **(patch.get("spec") or {})}
    return ObservedService.of({**service.body, "metadata": {**metadata, "annotations": kept}, "spec": spec})

"""Ports of a shared address change hands: an exposure takes one once no other Service there publishes it. Pure.

A load balancer takes the address away from a Service that asks for a port which another one there has. So the exposure
that takes goes on in its last good form until a later pass, in which the giver has changed. Where exposures wait for
each other, one of them gives first, and publishes meanwhile what nobody has, if nothing else is left to it; so does one
of whose two Services the second takes what the first one gives.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter
from typing import Any

from edge_expose_contract.addressing import Address
from edge_expose_module.blocks import Block
from edge_expose_module.cluster.service import Key, ObservedService, Port, ports_of
from edge_expose_module.cluster.state import Observed
from edge_expose_module.load_balancers.api import Claim
from edge_expose_module.services.declared import Declarations
from edge_expose_module.services.render import DeclaredService
from edge_expose_module.services.spare_ports import leads_nowhere, spare_port


@dataclass(frozen=True, slots=True)
class Handover:
    """Exposures whose newest form has to wait, with one reason each. Of `rings`, by who gives first, are those that
    wait for each other; `leaving` wait only until a Service of their own is gone that the newest form does without.
    `newest` is the newest form of everything, by Service."""

    waiting: Mapping[str, Block]
    rings: Mapping[str, frozenset[str]]
    leaving: frozenset[str]
    newest: Mapping[Key, DeclaredService]


def handover(declared: Iterable[DeclaredService], observed: Observed, owner: str) -> Handover:
    """`declared` are the Services of the newest forms."""
    newest = {(service.namespace, service.name): service for service in declared}
    holders = _holders(observed, owner)
    names = {service.exposure for service in newest.values()}
    waits: dict[str, dict[str, Block]] = {}
    leavers: dict[str, Block] = {}
    for key, service in newest.items():
        for giver, block in _givers(service, observed.services.get(key), observed, holders):
            exposure = giver.exposure if giver.owned_by(owner) and giver.exposure in names else None
            if exposure == service.exposure and giver.key not in newest:
                leavers[service.exposure] = block
            elif not (exposure == service.exposure and giver.is_claim):
                waits.setdefault(service.exposure, {})[exposure or f"{giver.namespace}/{giver.name}"] = block
    waiting = {name: next(iter(givers.values())) for name, givers in waits.items()}
    return Handover(leavers | waiting, _rings(waits), frozenset(leavers.keys() - waits.keys()), newest)


def carried_out(
    found: Handover,
    declared: Declarations,
    observed: Observed,
    allowed_ports: Sequence[tuple[int, int]] | None,
    withheld: Mapping[str, frozenset[Port]],
) -> tuple[DeclaredService, ...]:
    """What is carried out now: all that is declared; but whoever goes on in a last good form takes no port for it that
    another one has or wants, or that the load balancer withholds from it.

    `allowed_ports` are (first, last) numbers of the guard rails, None for all.
    """
    holders = observed.holders()
    asked_for: dict[str, set[Port]] = defaultdict(set)
    for service in found.newest.values():
        asked_for[service.exposure] |= ports_of(service.spec)
    services: list[DeclaredService] = []
    for service in declared.services:
        key = (service.namespace, service.name)
        if service.exposure in found.leaving and key not in found.newest:
            continue
        existing, refused = observed.services.get(key), withheld.get(service.exposure, frozenset())
        is_as_declared = not refused if existing is None else existing.is_claim
        if is_as_declared or (service.exposure not in declared.going_on and not refused):
            services.append(service)
            continue
        gives = service.exposure in found.rings
        has = existing.ports if existing is not None else frozenset()
        newest = ports_of(found.newest[key].spec) if key in found.newest else frozenset()
        of_others = {port for name, ports in asked_for.items() if name != service.exposure for port in ports}
        places = (existing.assigned or observed.requested(existing)) if existing is not None else ()
        of_others |= {p for at in places for o in holders.get(at, ()) if o.key != key for p in o.ports}
        # Giving takes nothing, so that nobody can be in the way; and nothing is taken back that another one wants.
        may_stay = has & newest if gives else has | ports_of(service.spec) - of_others
        ports = [port for port in service.spec["ports"] if ports_of({"ports": [port]}) <= may_stay - refused]
        if not ports and refused and any(ports_of(other.spec) - refused for other in _beside(service, declared)):
            services.append(service)  # it waits: the address is with the other one
            continue
        if not ports and (gives or refused):
            spare = spare_port(of_others | asked_for[service.exposure] | refused, allowed_ports)
            ports = [leads_nowhere(spare)]
        elif not ports and existing is not None:
            ports = _as_they_are(existing)
        # Two that go on may both have had a port that nobody has now.
        asked_for[service.exposure] |= ports_of({"ports": ports})
        services.append(replace(service, spec={**service.spec, "ports": ports}))
    return tuple(services)


def _holders(observed: Observed, owner: str) -> Mapping[Address, Sequence[ObservedService]]:
    """The Services at each address, and ours that ask for it: as soon as somebody makes room, they have it."""
    found = {address: list(services) for address, services in observed.holders().items()}
    for service in observed.owned(owner):
        for address in () if service.assigned else observed.requested(service):
            found.setdefault(address, []).append(service)
    return found


def _givers(
    declared: DeclaredService,
    existing: ObservedService | None,
    observed: Observed,
    holders: Mapping[Address, Sequence[ObservedService]],
) -> Iterable[tuple[ObservedService, Block]]:
    """Who has ports that a Service takes with its newest form. One that has no address cannot lose it."""
    if existing is None or not existing.assigned or existing.is_claim or declared.spec["type"] != "LoadBalancer":
        return
    after = ObservedService.of(declared.body())
    for address in observed.requested(after) or existing.assigned:
        taken = after.ports - existing.ports if address in existing.assigned else after.ports
        for other in holders.get(address, ()):
            block = _why_not_yet(address, taken, after, other, observed) if other.key != existing.key else None
            if block is not None:
                yield other, block


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


def _rings(waits: Mapping[str, Mapping[str, Block]]) -> dict[str, frozenset[str]]:
    """Who gives first, and all that wait for each other with it. None of them waits for anybody else: it would have
    given in vain."""
    ahead = {name: _reached(name, waits) for name in waits}
    found: dict[str, frozenset[str]] = {}
    seen: set[str] = set()
    for name in sorted(waits):
        ring = frozenset(other for other in ahead[name] if name in ahead[other])
        is_new = name in ring and name not in seen
        seen |= ring
        if is_new and all(waits[member].keys() <= ring for member in ring):
            found.update(dict.fromkeys(_who_give_first(ring, waits), ring))
    return found


def _reached(start: str, waits: Mapping[str, Mapping[str, Block]]) -> set[str]:
    """Everybody that waits and that one waits for, by way of others too."""
    found: set[str] = set()
    ahead = [start]
    while ahead:
        more = waits[ahead.pop()].keys() & waits.keys() - found
        found |= more
        ahead.extend(more)
    return found


def _who_give_first(ring: frozenset[str], waits: Mapping[str, Mapping[str, Block]]) -> set[str]:
    """So many that the others can follow one by one."""
    given: set[str] = set()
    while True:
        left = ring - given
        try:
            TopologicalSorter({name: sorted(waits[name].keys() & left) for name in sorted(left)}).prepare()
        except CycleError as error:
            given.add(min(error.args[1]))
        else:
            return given


def _beside(service: DeclaredService, declared: Declarations) -> Iterable[DeclaredService]:
    """The other Services of its exposure."""
    return (each for each in declared.services if each.exposure == service.exposure and each is not service)


def _as_they_are(existing: ObservedService) -> list[dict[str, Any]]:
    """Its ports without what the cluster added."""
    return [{key: value for key, value in port.items() if key != "nodePort"} for port in existing.spec["ports"]]

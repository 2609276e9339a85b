"""What a pass leaves in memory. Pure.

It is written to disk before the cluster is touched, so that a kill at any point is safe.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from edge_expose_contract.addressing import Address
from edge_expose_contract.identity import LABEL_EXPOSURE
from edge_expose_contract.parsing import parse_exposure
from edge_expose_module.allocation.claims import held_by_any, held_whole
from edge_expose_module.cluster.service import ObservedService, Port
from edge_expose_module.cluster.state import Observed
from edge_expose_module.reconcile import PassPlan
from edge_expose_module.state.memory import Memory


def after_decision(
    memory: Memory, raw: Mapping[str, Any], pass_plan: PassPlan, observed: Observed, owner: str
) -> Memory:
    """The last good form of every exposure, and every address given, asked for or held."""
    exposures = raw.get("exposures")
    declared: Mapping[str, Any] = exposures if isinstance(exposures, Mapping) else {}
    waiting = pass_plan.pending_removal.names if pass_plan.pending_removal is not None else frozenset()
    last_good: dict[str, Mapping[str, Any]] = {}
    for name in sorted(pass_plan.resolved.names | waiting):
        wanted = pass_plan.standing.get(name)
        proven = name not in pass_plan.unproven | pass_plan.waiting.keys() or name not in memory.last_good
        if wanted is not None and wanted.block is None and proven and isinstance(declared.get(name), Mapping):
            last_good[name] = declared[name]
        elif name in memory.last_good and name not in pass_plan.resolved.disabled:
            last_good[name] = memory.last_good[name]
    previous_good, services = dict(memory.previous_good), observed.by_exposure(owner)
    for name, before in memory.last_good.items():
        if last_good.get(name, before) != before:
            granted = _granted_form(name, before, previous_good.pop(name, None), services.get(name, ()))
            if granted is not None:
                previous_good[name] = granted
    addresses: dict[str, tuple[str, ...]] = {}
    held = {s.exposure: s.assigned or observed.requested(s) for s in observed.owned(owner) if s.exposure is not None}
    for name in sorted(pass_plan.resolved.names | waiting):
        decision = pass_plan.decisions.get(name)
        given = decision.addresses if decision is not None and decision.addresses else held.get(name, ())
        if given:
            addresses[name] = tuple(str(address) for address in given)
        elif name in memory.addresses:
            addresses[name] = memory.addresses[name]
    now = _texts(held_by_any(observed, owner))
    names = sorted(pass_plan.resolved.names | waiting)
    last_held = {name: found for name in names if (found := _last_held(name, pass_plan, now, memory))}
    return replace(
        memory,
        last_good=last_good,
        previous_good={name: found for name, found in sorted(previous_good.items()) if name in last_good},
        addresses=addresses,
        held=last_held,
        pools=observed.load_balancer.pools or memory.pools,
        expired=dict(pass_plan.resolved.expired),
        held_before=tuple(sorted(pass_plan.removal_guard.base)),
        released=tuple(sorted(pass_plan.removal_guard.released)),
        removal_mark=pass_plan.removal_guard.mark,
        confirmed=(),
        homes=_homes(memory, pass_plan, observed, owner),
        knows_homes=True,
    )


def _granted_form(
    name: str, last: Mapping[str, Any], previous: Mapping[str, Any] | None, services: Sequence[ObservedService]
) -> Mapping[str, Any] | None:
    """In which of its forms before the newest one an exposure has its address, or had it until it asked for other
    ports. By what it publishes: nothing else of a form is refused once that counts as good."""
    publishes = {port for service in services for port in service.ports}
    if publishes == _ports_of(name, last):
        is_given = all(service.assigned for service in services if service.is_load_balancer)
        return last if is_given else previous
    return previous if previous is not None and publishes == _ports_of(name, previous) else None


def _ports_of(name: str, form: Mapping[str, Any]) -> frozenset[Port]:
    exposure, _ = parse_exposure(name, dict(form))
    return exposure.published if exposure is not None else frozenset()


def _homes(memory: Memory, pass_plan: PassPlan, observed: Observed, owner: str) -> dict[str, tuple[str, ...]]:
    """Where each exposure has objects of ours, is about to have some, or had some that cannot be seen now."""
    found: dict[str, set[str]] = {}
    for service in pass_plan.declared:
        found.setdefault(service.exposure, set()).add(service.namespace)
    for existing in observed.ours(owner):
        found.setdefault(existing.exposure or "", set()).add(existing.namespace)
    for (_, namespace, _), item in observed.companions.items():
        labels = item["metadata"].get("labels") or {}
        found.setdefault(str(labels.get(LABEL_EXPOSURE, "")), set()).add(namespace)
    for name, namespaces in memory.homes.items():
        found.setdefault(name, set()).update(observed.unreadable.intersection(namespaces))
    return {name: tuple(sorted(namespaces)) for name, namespaces in sorted(found.items()) if namespaces}


def after_writes(memory: Memory, pass_plan: PassPlan, observed: Observed, owner: str) -> Memory:
    """What the load balancer gave in answer to the writes of a pass: the next document may come before the next look,
    and what that one asks for may be refused."""
    now = _texts(held_whole(observed, owner))
    arrived = {
        name
        for name in pass_plan.unproven
        if name not in pass_plan.blocks
        and name in pass_plan.decisions
        and now.get(name) == tuple(str(address) for address in pass_plan.decisions[name].addresses)
    }
    left_behind = {w.exposure.share for n, w in pass_plan.standing.items() if n in pass_plan.unproven - arrived} - {
        None
    }
    arrived -= {name for name in arrived if pass_plan.standing[name].exposure.share in left_behind}
    declared = (memory.document or {}).get("exposures") or {}
    proven = {name: declared[name] for name in arrived if name in declared and name not in pass_plan.waiting}
    given = {n: now[n] for n in memory.addresses if n in now and (n in arrived or n not in pass_plan.unproven)}
    return replace(memory, held={**memory.held, **given}, last_good={**memory.last_good, **proven})


def _last_held(
    name: str, pass_plan: PassPlan, now: Mapping[str, tuple[str, ...]], memory: Memory
) -> tuple[str, ...] | None:
    """Who is on the way to another address held the one before, until it is there with all that belongs to it."""
    before = memory.held.get(name)
    if name in pass_plan.unproven:
        return before
    return now.get(name) or before


def _texts(held: Mapping[str, tuple[Address, ...]]) -> dict[str, tuple[str, ...]]:
    return {name: tuple(map(str, addresses)) for name, addresses in held.items()}


def without_refused(memory: Memory, before: Memory, refused: Collection[str]) -> Memory:
    """What the cluster refused is no good form of an exposure: the one before stands."""
    last_good = {name: wanted for name, wanted in memory.last_good.items() if name not in refused}
    return replace(memory, last_good=last_good | {n: before.last_good[n] for n in refused if n in before.last_good})

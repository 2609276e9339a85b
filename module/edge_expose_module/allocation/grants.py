"""Addresses for every exposure, and the last good form of those whose newest one cannot be granted. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from edge_expose_contract.addressing import Address
from edge_expose_contract.identity import State
from edge_expose_contract.models import Exposure
from edge_expose_module.allocation.address_space import AddressSpace
from edge_expose_module.allocation.allocate import Decision, allocate
from edge_expose_module.allocation.claims import held_by_any, held_whole
from edge_expose_module.allocation.refused_ports import Withheld, of_what_they_publish, ports_refused_at, withheld
from edge_expose_module.allocation.rejected_addresses import as_written, current
from edge_expose_module.blocks import Block
from edge_expose_module.desired.rails.table import refused as why_not_allowed
from edge_expose_module.desired.resolved import ResolvedExposure
from edge_expose_module.pass_inputs import PassInputs


def granted(
    standing: dict[str, ResolvedExposure],
    blocks: dict[str, Block],
    last_good: Mapping[str, Exposure],
    inputs: PassInputs,
    space: AddressSpace,
    namespace: str,
    keep: frozenset[str],
) -> tuple[dict[str, Decision], dict[str, Withheld]]:
    """Addresses for all, and who may not publish some of its ports. Of a running exposure whose newest form cannot be
    granted the last good one goes on: writing the new one would lose the address it has. `standing` and `blocks` are
    brought up to date."""
    remembered, last_held = inputs.memory.known_addresses(), inputs.memory.last_held()
    written = as_written(inputs.document, last_good)
    rejected = current(inputs.memory.rejected, written, inputs.observed, inputs.owner)
    running = {service.exposure for service in inputs.observed.owned(inputs.owner)}
    resting = _resting(standing, inputs)
    rejected = of_what_they_publish(rejected, standing)
    places = _places(last_held, standing, inputs) if rejected else {}
    where_held = ports_refused_at(places, rejected)
    for name, of_ports in where_held.items():
        rejected[name] = {address: block for address, block in rejected[name].items() if address not in of_ports}
    without = _withheld(standing, blocks, where_held, last_good, inputs, namespace)
    while True:
        decisions = allocate(
            standing,
            inputs.observed,
            inputs.owner,
            remembered,
            space,
            namespace,
            kept=keep,
            last_held=last_held,
            rejected=rejected,
            resting=resting,
            former=inputs.former_owners,
            returning=_returning(standing, inputs),
        )
        fallen: dict[str, ResolvedExposure] = {}
        for name, decision in decisions.items():
            good = last_good.get(name)
            if decision.block is None:
                continue
            blocks.setdefault(name, decision.block)
            if good is not None and good.enabled and name in running and good != standing[name].exposure:
                fallen[name] = ResolvedExposure(name, good, decision.block)
        for name, block in _torn_away(fallen, standing, decisions, last_good, last_held, rejected).items():
            blocks.setdefault(name, block)
            fallen[name] = ResolvedExposure(name, last_good[name], block)
        if not fallen:
            # Who lost its address on the way there, and cannot go back, has the new one without the port.
            moved = {n: d.addresses for n, d in decisions.items() if n in last_held and n not in without}
            where_asked = ports_refused_at(moved, rejected)
            return decisions, without | _withheld(standing, blocks, where_asked, {}, inputs, namespace)
        standing.update(fallen)


def _places(
    last_held: Mapping[str, tuple[Address, ...]], standing: Mapping[str, ResolvedExposure], inputs: PassInputs
) -> dict[str, tuple[Address, ...]]:
    """Where exposures are, or were last. Who moves may have arrived, without a port; who is new in a group has no other
    place, also where only one of its Services has it."""
    grouped = {name for name, wanted in standing.items() if wanted.exposure.share is not None}
    found = {n: addresses for n, addresses in held_by_any(inputs.observed, inputs.owner).items() if n in grouped}
    return {**found, **last_held, **held_whole(inputs.observed, inputs.owner)}


def _withheld(
    standing: dict[str, ResolvedExposure],
    blocks: dict[str, Block],
    refused: Mapping[str, Mapping[Address, Block]],
    last_good: Mapping[str, Exposure],
    inputs: PassInputs,
    namespace: str,
) -> dict[str, Withheld]:
    """Who may not publish a port where it is: another form of it is carried out there."""
    forms = {name: _forms_before(standing[name], last_good, inputs, namespace) for name in refused if name in standing}
    found = withheld(standing, refused, forms, inputs.observed)
    for name, each in found.items():
        standing[name] = ResolvedExposure(name, each.form, each.block)
        blocks.setdefault(name, each.block)
    return found


def _forms_before(
    wanted: ResolvedExposure, last_good: Mapping[str, Exposure], inputs: PassInputs, namespace: str
) -> list[Exposure]:
    """What an exposure was before, at the same place and of what the device's owner allows, the newest first."""
    newest, found = wanted.exposure, (last_good.get(wanted.name), inputs.memory.previous_form(wanted.name))
    return [
        form
        for form in found
        if form is not None
        and form.enabled
        and (form.share, form.namespace, form.is_external) == (newest.share, newest.namespace, newest.is_external)
        and form.addresses in ((), newest.addresses)
        and why_not_allowed(inputs.guards, form, form.namespace or namespace, 0) is None
    ]


def _torn_away(
    fallen: Mapping[str, ResolvedExposure],
    standing: Mapping[str, ResolvedExposure],
    decisions: Mapping[str, Decision],
    last_good: Mapping[str, Exposure],
    last_held: Mapping[str, tuple[Address, ...]],
    rejected: dict[str, dict[Address, Block]],
) -> dict[str, Block]:
    """Exposures that would go to an address, or went there, without one of their sharing key that was refused it: they
    stay together, and go back. Who was at that address before stays. What was refused is added to `rejected`."""
    found: dict[str, Block] = {}
    for name, wanted in fallen.items():
        key, refused = standing[name].exposure.share, rejected.get(name, {})
        for other, theirs in standing.items():
            target = decisions[other].addresses if other in decisions else ()
            if key is None or theirs.exposure.share != key or other in fallen or not refused.keys() & set(target):
                continue
            good, held = last_good.get(other), last_held.get(other)
            if good is None or not good.enabled or good == theirs.exposure or held in (None, target):
                continue
            cause = wanted.block or next(iter(refused.values()))
            text = f"exposure {name}, which has the same sharing key, was refused it: {cause.message}"
            found[other] = Block(cause.reason, text, cause.values)
            rejected.setdefault(other, {}).update(dict.fromkeys(refused, found[other]))
    return found


def _returning(standing: Mapping[str, ResolvedExposure], inputs: PassInputs) -> frozenset[str]:
    """Exposures that were disabled or expired when we looked last, and have no Service."""
    since = inputs.memory.since
    running = {service.exposure for service in inputs.observed.owned(inputs.owner)}
    rested = {str(State.DISABLED), str(State.EXPIRED)}
    return frozenset(name for name in standing if name in since and since[name].state in rested and name not in running)


def _resting(standing: Mapping[str, ResolvedExposure], inputs: PassInputs) -> frozenset[Address]:
    """What exposures that are disabled, expired or blocked ask for or had: they should find it when they come back."""
    found: set[Address] = set()
    remembered = inputs.memory.known_addresses()
    for name in inputs.document.names - frozenset(standing):
        found.update(remembered.get(name, ()))
        if name in inputs.document.exposures:
            found.update(inputs.document.exposures[name].addresses)
    return frozenset(found)

"""Addresses for every exposure, and the last good form of those whose newest one cannot be granted. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from edge_expose_contract.addressing import Address
from edge_expose_contract.identity import State
from edge_expose_contract.models import Exposure
from edge_expose_module.allocation.address_space import AddressSpace
from edge_expose_module.allocation.allocate import Decision, allocate
from edge_expose_module.allocation.rejected_addresses import current
from edge_expose_module.blocks import Block
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
) -> dict[str, Decision]:
    """Addresses for all. Of a running exposure whose newest form cannot be granted the last good one goes on: writing
    the new one would lose the address it has. `standing` and `blocks` are brought up to date."""
    remembered, last_held = inputs.memory.known_addresses(), inputs.memory.last_held()
    rejected = current(inputs.memory.rejected, inputs.document.exposures, inputs.observed, inputs.owner)
    running = {service.exposure for service in inputs.observed.owned(inputs.owner)}
    resting = _resting(standing, inputs)
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
            return decisions
        standing.update(fallen)


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

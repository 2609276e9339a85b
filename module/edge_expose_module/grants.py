"""Addresses for every wish, and the last good form of those whose newest one cannot be granted. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from edge_expose_contract.addressing import Address
from edge_expose_contract.models import Exposure
from edge_expose_module.allocation import Decision, allocate
from edge_expose_module.inputs import Inputs
from edge_expose_module.rejected import current
from edge_expose_module.space import AddressSpace
from edge_expose_module.wishes import Block, Wish


def granted(
    standing: dict[str, Wish],
    blocks: dict[str, Block],
    last_good: Mapping[str, Exposure],
    inputs: Inputs,
    space: AddressSpace,
    namespace: str,
    keep: frozenset[str],
) -> dict[str, Decision]:
    """Addresses for all. Of a running exposure whose newest form cannot be granted the last good one goes on: writing
    the new one would lose the address it has. `standing` and `blocks` are brought up to date."""
    remembered, last_held = inputs.memory.known_addresses(), inputs.memory.last_held()
    rejected = current(inputs.memory.rejected, inputs.document.exposures, inputs.observed)
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
        )
        fallen = {}
        for name, decision in decisions.items():
            good = last_good.get(name)
            if decision.block is None:
                continue
            blocks.setdefault(name, decision.block)
            if good is not None and good.enabled and name in running and good != standing[name].exposure:
                fallen[name] = Wish(name, good, decision.block)
        if not fallen:
            return decisions
        standing.update(fallen)


def _resting(standing: Mapping[str, Wish], inputs: Inputs) -> frozenset[Address]:
    """What exposures that are disabled, expired or blocked wish for or had: they should find it when they come back."""
    found: set[Address] = set()
    remembered = inputs.memory.known_addresses()
    for name in inputs.document.names - frozenset(standing):
        found.update(remembered.get(name, ()))
        if name in inputs.document.exposures:
            found.update(inputs.document.exposures[name].addresses)
    return frozenset(found)

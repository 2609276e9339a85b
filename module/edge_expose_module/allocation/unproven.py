"""Whose newest form is not proven yet: it asks for another address than the exposure holds. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from edge_expose_contract.addressing import Address
from edge_expose_module.allocation.allocate import Decision
from edge_expose_module.allocation.claims import Carrier, merged
from edge_expose_module.desired.resolved import ResolvedExposure


def unproven_names(
    under_way: Collection[str],
    decisions: Mapping[str, Decision],
    standing: Mapping[str, ResolvedExposure],
    carriers: Mapping[str, Sequence[Carrier]],
    last_held: Mapping[str, tuple[Address, ...]],
) -> frozenset[str]:
    """Exposures that hold, or held until a moment ago, another address than the one decided for them, whole or with one
    of their Services; and those of the same sharing key, which go back together if one of them is refused."""
    found = set(under_way)
    for name, decision in decisions.items():
        declared = [carrier.service for carrier in carriers.get(name, ()) if carrier.is_declared]
        held = merged(c.service.assigned for c in carriers.get(name, ())) or last_held.get(name, ())
        if not held or not decision.addresses:
            continue
        if held != decision.addresses or any(service.assigned != held for service in declared):
            found.add(name)
    keys = {wanted.exposure.share for name, wanted in standing.items() if name in found} - {None}
    return frozenset(found) | frozenset(n for n, wanted in standing.items() if wanted.exposure.share in keys)


def together(unproven: Collection[str], standing: Mapping[str, ResolvedExposure]) -> tuple[frozenset[str], ...]:
    """Those exposures by what they have to move with: others of the same sharing key, or nobody."""
    groups: dict[tuple[str, bool], set[str]] = {}
    for name in sorted(unproven):
        key = standing[name].exposure.share
        groups.setdefault((name if key is None else key, key is not None), set()).add(name)
    return tuple(frozenset(names) for names in groups.values())

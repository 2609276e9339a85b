"""What is wanted now: the document, the last good exposures, the device's guard rails and the clock, made one list.

A resolved exposure may become Services. What is refused keeps what runs: its last good form stands in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from edge_expose_contract.models import Exposure
from edge_expose_contract.parsing import DesiredDocument
from edge_expose_contract.ports import beyond_document, beyond_text
from edge_expose_contract.violations import Violation, joined
from edge_expose_module.blocks import Block
from edge_expose_module.desired.rails.model import Guards
from edge_expose_module.desired.rails.table import refused as why_refused


@dataclass(frozen=True, slots=True)
class ResolvedExposure:
    """A valid, enabled, unexpired exposure; `block` says why a newer form of it was refused while this one stands."""

    name: str
    exposure: Exposure
    block: Block | None = None


@dataclass(frozen=True, slots=True)
class ResolvedExposures:
    """Everything the document says, sorted out.

    `keep` names exposures whose Services must stay although no valid form of them exists.
    """

    exposures: Mapping[str, ResolvedExposure] = field(default_factory=dict)
    blocked: Mapping[str, Block] = field(default_factory=dict)
    keep: frozenset[str] = frozenset()
    disabled: frozenset[str] = frozenset()
    expired: Mapping[str, str] = field(default_factory=dict)
    next_expiry: datetime | None = None

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self.exposures) | frozenset(self.blocked) | self.disabled | frozenset(self.expired)


def resolve(
    document: DesiredDocument,
    last_good: Mapping[str, Exposure],
    expired_before: Mapping[str, str],
    guards: Guards,
    default_namespace: str,
    now: datetime,
) -> ResolvedExposures:
    """`last_good` are the exposures that stood before, by name; `expired_before` holds the `expires` text of those that
    already ran out, so that a clock that jumps back does not bring them back."""
    resolved: dict[str, ResolvedExposure] = {}
    blocked: dict[str, Block] = {}
    expired: dict[str, str] = {}
    disabled: set[str] = set()
    expiries: set[datetime] = set()

    def is_over(name: str, exposure: Exposure) -> bool:
        if exposure.expires is None or exposure.expiry is None:
            return False
        if exposure.expiry <= now or expired_before.get(name) == exposure.expires:
            expired[name] = exposure.expires
            return True
        expiries.add(exposure.expiry)
        return False

    def refused(exposure: Exposure) -> Block | None:
        return why_refused(guards, exposure, exposure.namespace or default_namespace, len(resolved) + 1)

    beyond = _beyond(document, last_good, is_over)
    for name in sorted(document.names, key=lambda name: (name not in last_good, name)):
        newest, standing = document.exposures.get(name), last_good.get(name)
        if newest is not None and not newest.enabled:
            disabled.add(name)
            continue
        if newest is not None and is_over(name, newest):
            continue
        if newest is None:
            block = _invalid(document.invalid[name])
        elif name in beyond:
            text = beyond_text(newest.port_count, beyond[name])
            text = f"{text}; publish fewer ports, or remove another exposure"
            block = Block.of("TooManyPorts", text, ports=newest.port_count, others=beyond[name])
        elif guards.unknown and newest != standing:
            text = f"guard rails unreadable: {guards.unknown}; nothing new is created until they can be read"
            block = Block.of("GuardRailsUnknown", text, cause=guards.unknown)
        elif (refusal := refused(newest)) is None:
            resolved[name] = ResolvedExposure(name, newest)
            continue
        else:
            block = refusal
        if standing is None or not standing.enabled or refused(standing) is not None:
            # Guard rails that were tightened forbid the old form too: it is left alone, and not made again.
            blocked[name] = _outside(block) if standing is not None and standing.enabled else block
        elif not is_over(name, standing):
            resolved[name] = ResolvedExposure(name, standing, block)
    next_expiry = min(expiries, default=None)
    return ResolvedExposures(resolved, blocked, frozenset(blocked), frozenset(disabled), expired, next_expiry)


def _invalid(violations: Sequence[Violation]) -> Block:
    first = violations[0] if violations else Violation("", "", "")
    return Block.of("InvalidExposure", joined(violations), field=first.path, rule=first.rule)


def _outside(block: Block) -> Block:
    text = f"{block.message}; what stands is left alone, and not made again when it is gone"
    return Block.of("OutsideRails", text, reason=block.reason, value=next(iter(block.values), ""))


def _beyond(
    document: DesiredDocument, last_good: Mapping[str, Exposure], is_over: Callable[[str, Exposure], bool]
) -> dict[str, int]:
    """Exposures whose newest form has no room in the document, with the ports of the others; of a form that cannot be
    read the one that stands in for it counts."""
    newest = {n: e for n, e in document.exposures.items() if e.enabled and not is_over(n, e)}
    standing = {n: e.port_count for n, e in last_good.items() if n in newest or n in document.invalid}
    counts = {name: standing[name] for name in document.invalid if name in standing}
    counts.update({name: exposure.port_count for name, exposure in newest.items()})
    return beyond_document(counts, standing)

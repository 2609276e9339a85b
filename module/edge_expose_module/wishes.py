"""What is wanted now: the document, the last good wishes, the device's guard rails and the clock, made one list.

A wish is an exposure that may become Services. What is refused keeps what runs: the last good wish stands in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from edge_expose_contract.models import Exposure
from edge_expose_contract.parsing import DesiredDocument
from edge_expose_contract.reasons import Reason
from edge_expose_contract.violations import joined
from edge_expose_module.guards import Guards, Refused, refuse


@dataclass(frozen=True, slots=True)
class Block:
    """Why an exposure is not granted as it stands; `message` names thing, value, rule, other party and a way out."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Wish:
    """A valid, enabled, unexpired exposure; `block` says why a newer form of it was refused while this one stands."""

    name: str
    exposure: Exposure
    block: Block | None = None


@dataclass(frozen=True, slots=True)
class Wishes:
    """Everything the document says, sorted out.

    `keep` names exposures whose Services must stay although no valid wish exists for them.
    """

    wishes: Mapping[str, Wish] = field(default_factory=dict)
    blocked: Mapping[str, Block] = field(default_factory=dict)
    keep: frozenset[str] = frozenset()
    disabled: frozenset[str] = frozenset()
    expired: Mapping[str, str] = field(default_factory=dict)
    next_expiry: datetime | None = None

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self.wishes) | frozenset(self.blocked) | self.disabled | frozenset(self.expired)


def gather(
    document: DesiredDocument,
    last_good: Mapping[str, Exposure],
    expired_before: Mapping[str, str],
    guards: Guards,
    default_namespace: str,
    now: datetime,
) -> Wishes:
    """`last_good` are the exposures that stood before, by name; `expired_before` holds the `expires` text of those that
    already ran out, so that a clock that jumps back does not bring them back."""
    wishes: dict[str, Wish] = {}
    blocked: dict[str, Block] = {}
    expired: dict[str, str] = {}
    disabled: set[str] = set()
    next_expiry: datetime | None = None

    def refuse_newer(name: str, block: Block) -> None:
        standing = last_good.get(name)
        if standing is not None and standing.enabled:
            wishes[name] = Wish(name, standing, block)
        else:
            blocked[name] = block

    for name, violations in document.invalid.items():
        refuse_newer(name, Block("InvalidExposure", joined(violations)))
    held_first = sorted(document.exposures, key=lambda name: (name not in last_good, name))
    granted = 0
    for name in held_first:
        exposure = document.exposures[name]
        if not exposure.enabled:
            disabled.add(name)
            continue
        expiry = exposure.expiry
        if exposure.expires is not None and expiry is not None:
            if expiry <= now or expired_before.get(name) == exposure.expires:
                expired[name] = exposure.expires
                continue
            next_expiry = expiry if next_expiry is None else min(next_expiry, expiry)
        granted += 1
        refused = refuse(guards, exposure, exposure.namespace or default_namespace, granted)
        if refused is not None:
            refuse_newer(name, _block(refused))
        else:
            wishes[name] = Wish(name, exposure)
    keep = frozenset(blocked)
    return Wishes(wishes, blocked, keep, frozenset(disabled), expired, next_expiry)


def _block(refused: Refused) -> Block:
    return Block(refused.reason, refused.message)

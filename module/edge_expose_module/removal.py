"""The mass-removal brake: a document that would take away much at once removes nothing until somebody confirms it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

MINIMUM = 3


@dataclass(frozen=True, slots=True)
class PendingRemoval:
    """What waits for confirmation; `token` names exactly this set of exposures."""

    names: frozenset[str]
    token: str


def held_back(
    held: frozenset[str], removed: frozenset[str], percent: int, confirmations: Iterable[str]
) -> PendingRemoval | None:
    """`held` are exposures that have Services now, `removed` those the document takes away.

    The brake holds when at least three and more than `percent` of those held would go, and nobody confirmed this set.
    """
    gone = held & removed
    if len(gone) < MINIMUM or len(gone) * 100 <= percent * len(held):
        return None
    token = hashlib.sha256("\n".join(sorted(gone)).encode()).hexdigest()[:12]
    return None if token in set(confirmations) else PendingRemoval(gone, token)

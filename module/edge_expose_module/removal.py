"""The mass-removal brake: a document that would take away much at once removes nothing until somebody confirms it."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass

MINIMUM = 3


@dataclass(frozen=True, slots=True)
class PendingRemoval:
    """What waits for confirmation; `token` stands for exactly these exposures with the Services they have now."""

    names: frozenset[str]
    token: str


@dataclass(frozen=True, slots=True)
class Brake:
    """What a pass leaves for the next: the exposures that were held when the brake went on (empty when it is off), and
    those whose removal was confirmed and is not done yet."""

    pending: PendingRemoval | None = None
    base: frozenset[str] = frozenset()
    released: frozenset[str] = frozenset()


def brake(
    held: Mapping[str, str], removed: frozenset[str], percent: int, confirmations: Collection[str], before: Brake
) -> Brake:
    """`held` are exposures that have Services now, with a mark of those Services; `removed` the document takes away.

    The brake holds when at least three and more than `percent` of those held would go, and nobody confirmed this
    removal. While it is on, the share is of what was held when it went on: what the same document adds does not open
    it. A confirmation counts once: the same exposures, made again, have other Services and so another token.
    """
    gone = frozenset(held) & removed
    released = before.released & gone
    waiting = gone - released
    base = before.base or frozenset(held)
    if len(waiting) < MINIMUM or len(waiting) * 100 <= percent * len(base):
        return Brake(released=released)
    marks = "\n".join(f"{name} {held[name]}" for name in sorted(waiting))
    token = hashlib.sha256(marks.encode()).hexdigest()[:12]
    if token in confirmations:
        return Brake(released=gone)
    return Brake(PendingRemoval(waiting, token), base, released)

"""A document that would remove many exposures at once removes nothing until somebody confirms it."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass

MINIMUM = 3


@dataclass(frozen=True, slots=True)
class PendingRemoval:
    """What waits for confirmation; `token` stands for exactly these exposures with the Services they have now, and for
    this time that they wait."""

    names: frozenset[str]
    token: str


@dataclass(frozen=True, slots=True)
class RemovalGuard:
    """What a pass leaves for the next: the exposures that were held when the guard began to hold back (empty while it
    does not), those whose removal was confirmed and is not done yet, and what waits, as a digest and the moment it
    began to."""

    pending: PendingRemoval | None = None
    base: frozenset[str] = frozenset()
    released: frozenset[str] = frozenset()
    mark: tuple[str, ...] = ()


def guard_removals(
    held: Mapping[str, str],
    removed: frozenset[str],
    percent: int,
    confirmations: Collection[str],
    before: RemovalGuard,
    moment: str = "",
) -> RemovalGuard:
    """`held` are exposures that have Services now, with a mark of those Services; `removed` the document takes away;
    `moment` is a text that no other time has, such as the document's version and the time.

    The guard holds back when at least three and more than `percent` of those held would go, and nobody confirmed this
    removal. While it does, the share is of what was held when it began: what the same document adds does not lift it.
    A token is void once its removal was withdrawn, carried out or changed: the same removal later has another one.
    """
    gone = frozenset(held) & removed
    released = before.released & gone
    waiting = gone - released
    base = before.base or frozenset(held)
    if len(waiting) < MINIMUM or len(waiting) * 100 <= percent * len(base):
        return RemovalGuard(released=released)
    digest = _digest(*(f"{name} {held[name]}" for name in sorted(waiting)))
    mark = before.mark if before.mark[:1] == (digest,) else (digest, moment)
    token = _digest(*mark)
    if token in confirmations:
        return RemovalGuard(released=gone)
    return RemovalGuard(PendingRemoval(waiting, token), base, released, mark)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]

"""Tells open pages that something changed. Bounded queues: a page that does not read misses events, never blocks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

MOST_WAITING: Final = 50


@dataclass(frozen=True, slots=True)
class Event:
    """`kind` changed (a fragment is worth fetching again) or seen (only the age of what is shown moved)."""

    kind: str
    topic: str


class Events:
    """Used from one event loop only."""

    def __init__(self) -> None:
        self._listeners: dict[asyncio.Queue[Event | None], tuple[str, frozenset[str]]] = {}
        self._closed = False

    @contextmanager
    def listen(self, topic: str, *owners: str) -> Iterator[asyncio.Queue[Event | None]]:
        """A queue of the topic's events, counted for each of `owners`; None says that the portal ends."""
        queue: asyncio.Queue[Event | None] = asyncio.Queue(MOST_WAITING)
        self._listeners[queue] = (topic, frozenset(owners))
        if self._closed:
            queue.put_nowait(None)
        try:
            yield queue
        finally:
            del self._listeners[queue]

    def send(self, event: Event) -> None:
        for queue, (topic, _) in self._listeners.items():
            if event.topic == topic and not queue.full():
                queue.put_nowait(event)

    def topics(self) -> set[str]:
        """What somebody listens to now."""
        return {topic for topic, _ in self._listeners.values()}

    def count(self, owner: str = "") -> int:
        """Open queues of an owner; of everybody for ""."""
        return sum(not owner or owner in owners for _, owners in self._listeners.values())

    def close(self) -> None:
        """Ends every stream, also those that begin late."""
        self._closed = True
        for queue in self._listeners:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(None)

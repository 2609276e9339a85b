"""A level-triggered loop: whoever changes something wakes it, and it looks at everything again."""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections.abc import Callable

from .store import Change, Store


class Loop:
    """Runs `work` after every wake-up; changes that arrive meanwhile make it run once more."""

    def __init__(
        self, name: str, store: Store, watched: frozenset[str], work: Callable[[], None], every: float = 30.0
    ) -> None:
        self._name = name
        self._watched = watched
        self._work = work
        self._every = every
        self._event = asyncio.Event()
        self._event.set()
        store.listeners.append(self._changed)

    def _changed(self, change: Change) -> None:
        if change.resource in self._watched:
            self._event.set()

    def wake(self) -> None:
        """Ask for a run."""
        self._event.set()

    async def run(self) -> None:
        """Run until cancelled. A failing pass is logged and tried again a second later."""
        while True:
            try:
                async with asyncio.timeout(self._every):
                    await self._event.wait()
            except TimeoutError:
                pass
            self._event.clear()
            try:
                self._work()
            except Exception:
                print(
                    f"{self._name}: a pass failed, trying again\n{traceback.format_exc()}", file=sys.stderr, flush=True
                )
                await asyncio.sleep(1.0)
                self._event.set()
            await asyncio.sleep(0)

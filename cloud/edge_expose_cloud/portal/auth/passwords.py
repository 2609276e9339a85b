"""Where passwords are hashed: one at a time, beside the pages, with a short queue.

A hash takes 64 MiB and all processors for a moment. Whoever sends a thousand passwords a second must not make pages
slow, so hashes wait in line, their thread is the last to get a processor, and beyond a few the answer is Busy. Browsers
that signed in before stand in a line of their own, which goes first: strangers cannot fill it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

MOST_WAITING: Final = 8
RETRY_SECONDS: Final = 5
_NICE: Final = 10
T = TypeVar("T")


class Busy(Exception):
    """As many wait as may."""


class PasswordQueue:
    """Used from one event loop; `most` may wait in each of the two lines."""

    def __init__(self, most: int = MOST_WAITING) -> None:
        self._most = most
        self._running = False
        self._known: deque[asyncio.Future[None]] = deque()
        self._strangers: deque[asyncio.Future[None]] = deque()
        self._worker = ThreadPoolExecutor(1, "password", initializer=_be_last)

    def is_full(self, known: bool = False) -> bool:
        return self._running and len(self._line(known)) >= self._most

    async def run(self, work: Callable[[], T], *, known: bool = False) -> T:
        """What `work` gives, in its turn. Raises Busy."""
        if self.is_full(known):
            raise Busy
        await self._turn(self._line(known))
        try:
            return await asyncio.get_running_loop().run_in_executor(self._worker, work)
        finally:
            self._next()

    def _line(self, known: bool) -> deque[asyncio.Future[None]]:
        return self._known if known else self._strangers

    async def _turn(self, line: deque[asyncio.Future[None]]) -> None:
        if not self._running:
            self._running = True
            return
        turn = asyncio.get_running_loop().create_future()
        line.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._next()
            else:
                line.remove(turn)
            raise

    def _next(self) -> None:
        for line in (self._known, self._strangers):
            if line:
                line.popleft().set_result(None)
                return
        self._running = False


def _be_last() -> None:
    """Linux keeps a priority for each thread, and the threads that argon2 starts have that of this one."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)

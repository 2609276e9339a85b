"""The memory in force, and whether the disk took it."""

from __future__ import annotations

from typing import Protocol

from edge_expose_module.state.memory import Memory


class Store(Protocol):
    def load(self) -> Memory: ...

    def save(self, memory: Memory) -> str:
        """Why it could not be written, in words fit for a report; empty when it is safe."""


class Keeper:
    """`trouble` is what the last save said: a pass goes on without a disk, and its report tells."""

    def __init__(self, store: Store) -> None:
        self.memory = store.load()
        self.trouble = ""
        self._store = store

    def save(self) -> None:
        self.trouble = self._store.save(self.memory)

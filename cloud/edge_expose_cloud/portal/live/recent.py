"""What pages with URLs of their own are made of: plans that were asked for, drafts of forms, results of tests."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from typing import Final, Generic, TypeVar

T = TypeVar("T")
MOST_KEPT: Final = 500


class Recent(Generic[T]):
    """The last things that were put, by an id that cannot be guessed. Safe to use from several threads."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, T] = OrderedDict()
        self._lock = threading.Lock()

    def put(self, thing: T) -> str:
        name = secrets.token_urlsafe(12)
        with self._lock:
            self._kept[name] = thing
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        return name

    def get(self, name: str) -> T | None:
        """None for what was never put, or long ago, or before the portal was started."""
        with self._lock:
            return self._kept.get(name)

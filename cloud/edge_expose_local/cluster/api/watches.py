"""Watches: replay, follow, bookmarks, and 410 for those that start too far back."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

from ..kinds.errors import Document, expired
from ..kinds.selectors import Predicate
from ..store.store import Change, Store

_BOOKMARK_SECONDS = 10.0
_DEFAULT_TIMEOUT = 1800.0


@dataclass(frozen=True, slots=True)
class WatchWish:
    """One watch. `version` is what the client knows; None or 0 means: begin with everything there is."""

    storage: str
    namespace: str | None
    version: int
    timeout: float
    bookmarks: bool
    initial_events: bool
    labels: Predicate | None
    fields: Predicate | None
    shape: Callable[[Document], Document]
    frame: Callable[[str, Document], bytes]
    """Writes one event: its type, and its object in the shape it is shown in."""
    bookmark_kind: tuple[str, str]
    """apiVersion and kind of the object in a bookmark."""

    def wants(self, obj: Document) -> bool:
        """Tell whether an object is in the watched set."""
        if self.namespace is not None and obj["metadata"].get("namespace") != self.namespace:
            return False
        if self.labels is not None and not self.labels(obj):
            return False
        return self.fields is None or self.fields(obj)


def json_line(kind: str, obj: Document) -> bytes:
    """Write one event as a line of JSON."""
    return json.dumps({"type": kind, "object": obj}, separators=(",", ":")).encode() + b"\n"


def _event(wish: WatchWish, change: Change) -> bytes:
    now = change.type != "DELETED" and wish.wants(change.obj)
    before = change.before is not None and wish.wants(change.before)
    if now:
        return wish.frame("MODIFIED" if before else "ADDED", wish.shape(change.obj))
    if before:
        assert change.before is not None
        meta = {**change.before["metadata"], "resourceVersion": str(change.version)}
        return wish.frame("DELETED", wish.shape({**change.before, "metadata": meta}))
    return b""


def _bookmark(wish: WatchWish, version: int, *, initial_end: bool = False) -> bytes:
    api_version, kind = wish.bookmark_kind
    meta: Document = {"resourceVersion": str(version), "creationTimestamp": None}
    if initial_end:
        meta["annotations"] = {"k8s.io/initial-events-end": "true"}
    return wish.frame("BOOKMARK", {"kind": kind, "apiVersion": api_version, "metadata": meta})


async def watch(store: Store, wish: WatchWish, *, forced_gone: bool) -> AsyncGenerator[bytes, None]:
    """Stream the lines of a watch until its time is over or the store cuts it off."""
    if forced_gone or 0 < wish.version < store.oldest:
        yield wish.frame("ERROR", expired(wish.version, store.version).status())
        return
    subscription = store.subscribe(wish.storage)
    try:
        if wish.version == 0 or wish.initial_events:
            lines = [wish.frame("ADDED", wish.shape(o)) for o in store.all(wish.storage) if wish.wants(o)]
            if wish.initial_events:
                lines.append(_bookmark(wish, store.version, initial_end=True))
        else:
            lines = [_event(wish, change) for change in store.since(wish.storage, wish.version)]
        said = store.version
        yield b"".join(lines)
        ends = time.monotonic() + (wish.timeout or _DEFAULT_TIMEOUT)
        next_bookmark = time.monotonic() + _BOOKMARK_SECONDS
        while (left := ends - time.monotonic()) > 0:
            wait = min(left, max(0.0, next_bookmark - time.monotonic())) if wish.bookmarks else left
            change: Change | None = None
            with contextlib.suppress(TimeoutError):
                if wait > 0:
                    async with asyncio.timeout(wait):
                        change = await subscription.queue.get()
                    if change is None:
                        return
            if change is not None:
                chunk = _event(wish, change)
                while not subscription.queue.empty():
                    more = subscription.queue.get_nowait()
                    if more is None:
                        yield chunk
                        return
                    chunk += _event(wish, more)
                yield chunk
            if wish.bookmarks and time.monotonic() >= next_bookmark:
                next_bookmark = time.monotonic() + _BOOKMARK_SECONDS
                if store.version != said:
                    said = store.version
                    yield _bookmark(wish, said)
        if wish.bookmarks:
            yield _bookmark(wish, store.version)
    finally:
        subscription.close()

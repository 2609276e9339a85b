"""Objects, resourceVersion and the recent history of changes.

Everything lives in memory and every change is one SQLite (WAL) transaction before it is visible, so a killed
process continues with the same objects and the same resourceVersion. The history that watches replay is
bounded and, as in a real API server, does not survive a restart: older watches get 410.
"""

from __future__ import annotations

import asyncio
import copy
import json
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..kinds.errors import Document

HISTORY = 4096
_WATCH_BUFFER = 8192


@dataclass(frozen=True, slots=True)
class Change:
    """One write. `before` is None for a create; for a delete `obj` is the last state with the new version."""

    version: int
    type: str
    resource: str
    obj: Document
    before: Document | None


class Subscription:
    """Changes of one resource as they happen; ends with None when it is closed or falls behind."""

    def __init__(self, store: Store, resource: str) -> None:
        self._store = store
        self.resource = resource
        self.queue: asyncio.Queue[Change | None] = asyncio.Queue()
        self._closed = False

    def push(self, change: Change) -> None:
        """Take one change; a reader that fell far behind is cut off rather than fed from memory without bound."""
        if self._closed:
            return
        if self.queue.qsize() > _WATCH_BUFFER:
            self.close()
            return
        self.queue.put_nowait(change)

    def close(self) -> None:
        """End this subscription."""
        if not self._closed:
            self._closed = True
            self._store.subscriptions.discard(self)
            self.queue.put_nowait(None)


class Store:
    """All objects by resource (plural.group) and (namespace, name). Objects handed out must not be changed."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS objects (resource TEXT, namespace TEXT, name TEXT, body TEXT NOT NULL,"
            " PRIMARY KEY (resource, namespace, name))"
        )
        self._db.execute("CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL)")
        self._objects: dict[str, dict[tuple[str, str], Document]] = {}
        for resource, namespace, name, body in self._db.execute("SELECT resource, namespace, name, body FROM objects"):
            self._objects.setdefault(resource, {})[(namespace, name)] = json.loads(body)
        self.version = int(self.fact("version", "1"))
        self.oldest = self.version
        """Watches from a version below this one are too old."""
        self._history: deque[Change] = deque()
        self.subscriptions: set[Subscription] = set()
        self.listeners: list[Callable[[Change], None]] = []

    def fact(self, name: str, default: str = "") -> str:
        """Return one remembered text that is no object."""
        row = self._db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else default

    def set_fact(self, name: str, value: str) -> None:
        """Remember one text."""
        self._db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    def get(self, resource: str, namespace: str, name: str) -> Document | None:
        """Return one object."""
        return self._objects.get(resource, {}).get((namespace, name))

    def all(self, resource: str, namespace: str | None = None) -> list[Document]:
        """Return the objects of one resource, sorted by namespace and name."""
        found = self._objects.get(resource, {})
        return [found[key] for key in sorted(found) if namespace is None or key[0] == namespace]

    def at(self, resource: str, version: int, namespace: str | None = None) -> list[Document] | None:
        """Return the objects of one resource as they were at a version; None when that is too long ago."""
        if version < self.oldest:
            return None
        found = dict(self._objects.get(resource, {}))
        for change in reversed(self._history):
            if change.version <= version:
                break
            if change.resource == resource:
                meta = change.obj["metadata"]
                key = (meta.get("namespace", ""), meta["name"])
                if change.before is None:
                    found.pop(key, None)
                else:
                    found[key] = change.before
        return [found[key] for key in sorted(found) if namespace is None or key[0] == namespace]

    def resources(self) -> Iterator[str]:
        """Return the names of all resources that hold objects."""
        return iter(list(self._objects))

    def put(self, resource: str, obj: Document) -> Document:
        """Create or replace; sets metadata.resourceVersion on a copy and returns it."""
        meta = obj["metadata"]
        key = (meta.get("namespace", ""), meta["name"])
        before = self._objects.get(resource, {}).get(key)
        stored: Document = copy.deepcopy(obj)
        self.version += 1
        stored["metadata"]["resourceVersion"] = str(self.version)
        body = json.dumps(stored, separators=(",", ":"))
        self._write("INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?)", (resource, *key, body))
        self._objects.setdefault(resource, {})[key] = stored
        self._publish(Change(self.version, "ADDED" if before is None else "MODIFIED", resource, stored, before))
        return stored

    def delete(self, resource: str, namespace: str, name: str) -> Document | None:
        """Remove; returns the last state with the version of the deletion."""
        before = self._objects.get(resource, {}).get((namespace, name))
        if before is None:
            return None
        self.version += 1
        last: Document = copy.deepcopy(before)
        last["metadata"]["resourceVersion"] = str(self.version)
        sql = "DELETE FROM objects WHERE resource = ? AND namespace = ? AND name = ?"
        self._write(sql, (resource, namespace, name))
        del self._objects[resource][(namespace, name)]
        self._publish(Change(self.version, "DELETED", resource, last, before))
        return last

    def since(self, resource: str, version: int) -> list[Change]:
        """Return remembered changes of a resource after a version."""
        return [c for c in self._history if c.version > version and c.resource == resource]

    def subscribe(self, resource: str) -> Subscription:
        """Follow changes of a resource from now on."""
        subscription = Subscription(self, resource)
        self.subscriptions.add(subscription)
        return subscription

    def close(self) -> None:
        """Close the file."""
        for subscription in list(self.subscriptions):
            subscription.close()
        self._db.close()

    def _write(self, sql: str, arguments: tuple[str, ...]) -> None:
        try:
            self._db.execute("BEGIN")
            self._db.execute(sql, arguments)
            self._db.execute("INSERT OR REPLACE INTO facts VALUES ('version', ?)", (str(self.version),))
            self._db.execute("COMMIT")
        except sqlite3.Error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            self.version -= 1
            raise

    def _publish(self, change: Change) -> None:
        self._history.append(change)
        while len(self._history) > HISTORY:
            self.oldest = self._history.popleft().version
        for subscription in list(self.subscriptions):
            if subscription.resource == change.resource:
                subscription.push(change)
        for listener in self.listeners:
            listener(change)

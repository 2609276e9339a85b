"""Garbage collection: what all of whose owners are gone goes too, and a foreground deletion waits for what it owns."""

from __future__ import annotations

from collections.abc import Iterator

from ..kinds.errors import ApiError, Document
from ..kinds.resources import Resource
from ..objects.registry import FOREGROUND, Registry
from ..store.store import Change

WATCHED = frozenset({"services", "pods", "configmaps", "deployments.apps", "replicasets.apps"})


class GarbageCollector:
    """Follows the deletions of owners."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._store = registry.store
        self._gone: set[str] = set()
        self._store.listeners.append(self._changed)

    def _changed(self, change: Change) -> None:
        if change.type == "DELETED" and change.resource in WATCHED:
            self._gone.add(change.obj["metadata"]["uid"])

    def work(self) -> None:
        """Delete what was owned by what is gone, then see to foreground deletions."""
        gone, self._gone = self._gone, set()
        if gone:
            for resource, obj in self._owned():
                if all(owner.get("uid") in gone for owner in obj["metadata"]["ownerReferences"]):
                    self._delete(resource, obj)
        for plural in ("deployments", "replicasets"):
            self._foreground(self._registry.resource(plural, "apps"))

    def _owned(self) -> Iterator[tuple[Resource, Document]]:
        for resource in list(self._registry.resources.values()):
            if resource.group == "events.k8s.io" or not resource.namespaced:
                continue
            for obj in self._store.all(resource.storage):
                if obj["metadata"].get("ownerReferences"):
                    yield resource, obj

    def _delete(self, resource: Resource, obj: Document) -> None:
        meta = obj["metadata"]
        if "deletionTimestamp" in meta or self._store.get(resource.storage, meta["namespace"], meta["name"]) is None:
            return
        try:
            self._registry.delete(resource, meta["namespace"], meta["name"], {})
        except ApiError:
            self._gone |= {owner["uid"] for owner in meta["ownerReferences"]}

    def _foreground(self, resource: Resource) -> None:
        for owner in self._store.all(resource.storage):
            meta = owner["metadata"]
            if "deletionTimestamp" not in meta or FOREGROUND not in (meta.get("finalizers") or []):
                continue
            uid = meta["uid"]
            owned = [
                (kind, obj)
                for kind, obj in self._owned()
                if any(o.get("uid") == uid for o in obj["metadata"]["ownerReferences"])
            ]
            for kind, obj in owned:
                self._delete(kind, obj)
            if not owned:
                left = [name for name in meta["finalizers"] if name != FOREGROUND]
                done = {**owner, "metadata": {**meta, "finalizers": left}}
                self._registry.update(resource, meta["namespace"], meta["name"], done)

"""Namespace termination, the objects every namespace starts with, and old events."""

from __future__ import annotations

import datetime

from ..kinds.errors import ApiError, Document
from ..objects.recorder import KEEP_SECONDS
from ..objects.registry import Registry

WATCHED = frozenset({"namespaces", "pods", "serviceaccounts"})


class NamespaceController:
    """Empties namespaces that are being deleted and furnishes new ones."""

    def __init__(self, registry: Registry, ca: str) -> None:
        self._registry = registry
        self._store = registry.store
        self._ca = ca

    def work(self) -> None:
        """One pass over all namespaces."""
        for namespace in self._store.all("namespaces"):
            if "deletionTimestamp" in namespace["metadata"]:
                self._empty(namespace)
            else:
                self._furnish(namespace["metadata"]["name"])
        self._forget_events()

    def _furnish(self, name: str) -> None:
        for plural, object_name, body in (
            ("serviceaccounts", "default", {}),
            ("configmaps", "kube-root-ca.crt", {"data": {"ca.crt": self._ca}}),
        ):
            if self._store.get(plural, name, object_name) is None:
                self._registry.create(
                    self._registry.resource(plural), name, {"metadata": {"name": object_name}, **body}
                )

    def _empty(self, namespace: Document) -> None:
        name = namespace["metadata"]["name"]
        left = 0
        for resource in list(self._registry.resources.values()):
            if not resource.namespaced or resource.group == "events.k8s.io":
                continue
            for obj in self._store.all(resource.storage, name):
                try:
                    if "deletionTimestamp" not in obj["metadata"]:
                        self._registry.delete(resource, name, obj["metadata"]["name"], {})
                except ApiError:
                    left += 1
            left += len(self._store.all(resource.storage, name))
        if left == 0:
            self._store.delete("namespaces", "", name)

    def _forget_events(self) -> None:
        limit = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=KEEP_SECONDS)
        stamp = limit.strftime("%Y-%m-%dT%H:%M:%SZ")
        for event in self._store.all("events"):
            seen = event.get("lastTimestamp") or event["metadata"].get("creationTimestamp", "")
            if seen and seen < stamp:
                self._store.delete("events", event["metadata"]["namespace"], event["metadata"]["name"])

"""Writes core/v1 Events as client-go's recorder does: repeats raise `count` on one object."""

from __future__ import annotations

import time
from typing import Any

from ..kinds.errors import Document
from ..store.store import Store
from .prepare import now, random_suffix

KEEP_SECONDS = 3600.0


class Recorder:
    """Events of one component."""

    def __init__(self, store: Store, component: str, host: str = "") -> None:
        self._store = store
        self._source: dict[str, Any] = {"component": component} | ({"host": host} if host else {})
        self._seen: dict[tuple[str, str, str, str], str] = {}

    def event(self, about: Document, type_: str, reason: str, message: str) -> None:
        """Record one event (Normal or Warning) about an object."""
        meta = about["metadata"]
        namespace = meta.get("namespace") or "default"
        key = (meta["uid"], type_, reason, message)
        known = self._store.get("events", namespace, self._seen.get(key, ""))
        stamp = now()
        if known is not None:
            self._store.put("events", {**known, "count": known.get("count", 1) + 1, "lastTimestamp": stamp})
            return
        name = f"{meta['name']}.{time.time_ns():x}"
        self._seen[key] = name
        if len(self._seen) > 4096:
            self._seen.pop(next(iter(self._seen)))
        reference = {
            "kind": about["kind"],
            "namespace": meta.get("namespace", ""),
            "name": meta["name"],
            "uid": meta["uid"],
            "apiVersion": about["apiVersion"],
            "resourceVersion": meta.get("resourceVersion", ""),
        }
        home = self._store.get("namespaces", "", namespace)
        if home is None or "deletionTimestamp" in home["metadata"]:
            return
        self._store.put(
            "events",
            {
                "kind": "Event",
                "apiVersion": "v1",
                "metadata": {
                    "name": name,
                    "namespace": namespace,
                    "uid": f"{time.time_ns():x}-{random_suffix(8)}",
                    "creationTimestamp": stamp,
                },
                "involvedObject": {k: v for k, v in reference.items() if v},
                "reason": reason,
                "message": message,
                "source": self._source,
                "firstTimestamp": stamp,
                "lastTimestamp": stamp,
                "count": 1,
                "type": type_,
                "eventTime": None,
                "reportingComponent": self._source["component"],
                "reportingInstance": self._source.get("host", ""),
            },
        )

"""The objects of one resource in one scope, kept up by a list, by watch events and by the answers to writes. Pure.

Whatever order these come in, also twice or late, the newest form of each object stands: resourceVersions of one object
only grow, and a version up to which everything was listed tells what is gone from what is not known yet. A server whose
versions are no numbers is taken at its word: its list stands alone, and an event asks for the next one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edge_expose_module.cluster.api import SERVICES, Listing, Resource, WatchEvent
from edge_expose_module.cluster.service import Key

Body = Mapping[str, Any]


@dataclass(slots=True)
class Cache:
    """`version` is where a watch goes on: that of the last list or bookmark, since those alone say that nothing before
    them is still under way. It is empty while nothing was listed, or when the place was lost."""

    resource: Resource
    version: str = ""
    _objects: dict[Key, Body] = field(default_factory=dict)
    _listed: int = 0
    """Everything up to this version is known: what is not here then and has no newer form is gone."""
    _gone: dict[Key, int] = field(default_factory=dict)
    """The versions in which objects were deleted since."""

    @property
    def items(self) -> tuple[Body, ...]:
        """By namespace and name, as the API server lists them: load balancers go through their pools in this order."""
        return tuple(item for _, item in sorted(self._objects.items()))

    def get(self, key: Key) -> Body | None:
        return self._objects.get(key)

    def lose_place(self) -> None:
        """The next watch begins with a list, and that stands alone: the cluster may be another one by then."""
        self.version, self._objects, self._listed, self._gone = "", {}, 0, {}

    def replace(self, listing: Listing, *, later: bool = False) -> None:
        """Takes in a list. What is newer than it, since the list was under way when that came, stays. `later` means
        that it was asked for after the one before was there: if its version is lower all the same, the cluster was
        restored from a backup, and nothing known before counts."""
        at = _number(listing.version)
        if later and at is not None and at < self._listed:
            self.lose_place()
        listed = {_key(item): _kept(self.resource, item) for item in listing.items}
        self.version = listing.version
        if at is None or any(_version(item) is None for item in listed.values()):
            self._objects, self._listed, self._gone = listed, 0, {}
            return
        found: dict[Key, Body] = {}
        for key, item in listed.items():
            known = self._objects.get(key)
            if known is not None:
                found[key] = known if _is_newer(known, item) else item
            elif not self._was_deleted(key, item):
                found[key] = item
        found |= {key: item for key, item in self._objects.items() if key not in listed and (_version(item) or 0) > at}
        self._objects = found
        self._listed = max(self._listed, at)
        self._gone = {key: number for key, number in self._gone.items() if number > self._listed}

    def follow(self, event: WatchEvent) -> bool:
        """Takes in a watch event; whether it changed anything that is of use to a pass."""
        if event.kind == "BOOKMARK":
            self.version = str((event.body.get("metadata") or {}).get("resourceVersion") or self.version)
            return False
        if event.kind == "DELETED":
            return self._remove(event.body)
        return self.put(event.body)

    def put(self, body: Body) -> bool:
        """Takes in an object as an event or the answer to a write shows it, if that is the newest form known."""
        key, number = _key_or_none(body), _version(body)
        if key is None or number is None:
            self.lose_place()
            return True
        known = self._objects.get(key)
        if known is not None and not _is_newer(body, known):
            return False
        if known is None and self._was_deleted(key, body):
            return False
        self._objects[key] = kept = _kept(self.resource, body)
        self._gone.pop(key, None)
        return known is None or _of_use(self.resource, known) != _of_use(self.resource, kept)

    def _remove(self, body: Body) -> bool:
        key, number = _key_or_none(body), _version(body)
        if key is None or number is None:
            self.lose_place()
            return True
        known = self._objects.get(key)
        if known is not None and (_version(known) or 0) > number:
            return False
        self._gone[key] = max(number, self._gone.get(key, 0))
        return self._objects.pop(key, None) is not None

    def _was_deleted(self, key: Key, body: Body) -> bool:
        return (_version(body) or 0) <= max(self._listed, self._gone.get(key, 0))


def _key(body: Body) -> Key:
    meta = body["metadata"]
    return (str(meta.get("namespace", "")), str(meta["name"]))


def _key_or_none(body: Body) -> Key | None:
    meta = body.get("metadata")
    return _key(body) if isinstance(meta, Mapping) and meta.get("name") else None


def _version(body: Body) -> int | None:
    return _number(str((body.get("metadata") or {}).get("resourceVersion", "")))


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() else None


def _is_newer(one: Body, other: Body) -> bool:
    first, second = _version(one), _version(other)
    return first is None or second is None or first > second


def _kept(resource: Resource, body: Body) -> Body:
    """What of an object is kept. Who wrote which field is asked of Services alone."""
    meta = body["metadata"]
    if not resource.metadata_only:
        if resource == SERVICES or "managedFields" not in meta:
            return body
        return {**body, "metadata": {key: value for key, value in meta.items() if key != "managedFields"}}
    return {"metadata": {key: meta[key] for key in ("name", "namespace", "resourceVersion", "labels") if key in meta}}


def _of_use(resource: Resource, body: Body) -> object:
    """What of an object a pass looks at; its version grows with every heartbeat."""
    return body["metadata"].get("labels") if resource.metadata_only else body

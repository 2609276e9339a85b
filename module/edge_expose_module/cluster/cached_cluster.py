"""A cluster whose objects are read from memory as long as a watch keeps them up, and from the API otherwise.

A list that had to be read from the API is what the watch of that scope begins with, so that a pass never decides from
anything that was not read as a whole first. Answers to writes are taken in at once: nobody waits for the watch to show
what we wrote ourselves. Blocking; may be called from any thread.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from edge_expose_contract.addressing import Address
from edge_expose_module.cluster.api import (
    ENDPOINT_SLICES,
    ENDPOINTS,
    EVENTS,
    NODES,
    PODS,
    SILENT_SECONDS,
    Cluster,
    Listing,
    NotFound,
    Resource,
    WatchEvent,
)
from edge_expose_module.cluster.cache import Cache

Scope = tuple[Resource, str | None]
"""A resource and the namespace it is read in; None means all namespaces."""
RELIST_SECONDS: Final = 300.0
ABSENT_SECONDS: Final = 5.0
"""For so long a group of resources that is not served is not asked for again."""
# Events are read while a request is open, and nodes, whose heartbeats never end, for exposures with endpoints only.
_NOT_KEPT: Final = frozenset({EVENTS, NODES})
# Who answers says nothing of who holds which address.
_HOLD_NOTHING: Final = frozenset({PODS, ENDPOINTS, ENDPOINT_SLICES})


@dataclass(slots=True)
class _Scope:
    cache: Cache
    listed: float | None = None
    """When the last list was asked for; None when the next read has to ask."""
    answered: float | None = None
    heard: float | None = None
    """When the watch that keeps it up was last heard; None while there is no such watch."""
    used: bool = True
    reading: int = 0
    """When that list was asked for, as a count of readings."""


@dataclass(slots=True)
class _Known:
    """What the API server says of itself, and in which reading."""

    reading: int = -1
    version: str = ""
    groups: dict[str, frozenset[str]] = field(default_factory=dict)
    since: float = 0.0


class CachedCluster:
    """`relist_seconds` is after how long a list is read again although its watch goes on."""

    def __init__(
        self,
        cluster: Cluster,
        clock: Callable[[], float] = time.monotonic,
        relist_seconds: float = RELIST_SECONDS,
    ) -> None:
        self._cluster = cluster
        self._clock = clock
        self._relist = relist_seconds
        self._lock = threading.Lock()
        self._scopes: dict[Scope, _Scope] = {}
        self._known = _Known()
        self._absent: dict[str, float] = {}
        self._revision = 0
        self._from_memory = False
        self._reading = 0
        """Counts the times that reading started."""
        self._goes_on = False

    # --- reads ---

    def start_reading(self) -> None:
        """Whoever reads everything from here on may ask `refresh` whether all of it came from the API."""
        self._from_memory, self._goes_on = False, False
        self._reading += 1

    def go_on_reading(self) -> None:
        """Until reading starts again, what was listed since it started last stands, with the answers to writes since:
        also where no watch keeps it up yet."""
        self._goes_on = True

    def list(self, resource: Resource, namespace: str | None, *, labels: str = "", fields: str = "") -> Listing:
        if labels or fields or resource in _NOT_KEPT:
            return self._cluster.list(resource, namespace, labels=labels, fields=fields)
        with self._lock:
            scope = self._scopes.get((resource, namespace))
            if scope is not None and self._stands(scope):
                scope.used = True
                self._from_memory |= resource not in _HOLD_NOTHING
                return Listing(scope.cache.items, scope.cache.version)
        return self.read(resource, namespace)

    def get(self, resource: Resource, namespace: str, name: str) -> Mapping[str, Any]:
        with self._lock:
            for where in (namespace, None):
                scope = self._scopes.get((resource, where))
                if scope is not None and self._stands(scope) and not resource.metadata_only:
                    scope.used = True
                    self._from_memory |= not resource.only
                    body = scope.cache.get((namespace, name))
                    if body is None:
                        raise NotFound(f"there is no {resource.kind} {namespace}/{name}")
                    return body
        return self._cluster.get(resource, namespace, name)

    def version(self) -> str:
        with self._lock:
            known = self._known_now()
        if not known.version:
            known.version = self._cluster.version()
        return known.version

    def resources(self, group: str) -> frozenset[str]:
        now = self._clock()
        with self._lock:
            known = self._known_now()
            if group in known.groups and (known.groups[group] or now - self._absent[group] < ABSENT_SECONDS):
                return known.groups[group]
        known.groups[group] = found = self._cluster.resources(group)
        self._absent[group] = now
        return found

    def addresses(self) -> tuple[Address, ...]:
        return self._cluster.addresses()

    def read(self, resource: Resource, namespace: str | None) -> Listing:
        """Everything in a scope from the API, kept for its watch. What came meanwhile and is newer stays."""
        started = self._clock()
        listing = self._cluster.list(resource, namespace)
        with self._lock:
            scope = self._scopes.setdefault((resource, namespace), _Scope(Cache(resource)))
            scope.cache.replace(listing, later=scope.answered is not None and started > scope.answered)
            scope.listed, scope.answered, scope.used, scope.reading = started, self._clock(), True, self._reading
            self._revision += 1
            return Listing(scope.cache.items, listing.version)

    @property
    def revision(self) -> int:
        """Another number after anything was read, heard or written."""
        return self._revision

    def is_unchanged(self, revision: int) -> bool:
        """Whether reading again would show what was there at this revision, and ask the API for nothing."""
        with self._lock:
            return revision == self._revision and all(self._is_fresh(scope) for scope in self._scopes.values())

    def look_again(self, *resources: Resource) -> None:
        """The next read of these comes from the API."""
        with self._lock:
            for (resource, _), scope in self._scopes.items():
                if resource in resources:
                    scope.listed = None

    def refresh(self) -> bool:
        """What says who holds which address is read from the API the next time: before one is given up, and while one
        is asked for. False when all that was read since `start_reading` came from there."""
        with self._lock:
            self._revision += 1
            for (resource, _), scope in self._scopes.items():
                if resource not in _HOLD_NOTHING:
                    scope.listed = None
            was_remembered, self._from_memory = self._from_memory, False
            return was_remembered

    # --- writes ---

    def create(self, resource: Resource, namespace: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        return self._answered(resource, namespace, self._cluster.create(resource, namespace, body))

    def patch(self, resource: Resource, namespace: str, name: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        return self._answered(resource, namespace, self._cluster.patch(resource, namespace, name, body))

    def delete(self, resource: Resource, namespace: str, name: str, uid: str) -> None:
        # Whether it is gone or waits for a finalizer is not in every answer.
        try:
            self._cluster.delete(resource, namespace, name, uid)
        finally:
            with self._lock:
                self._revision += 1
                for where in (namespace, None):
                    if (scope := self._scopes.get((resource, where))) is not None:
                        scope.listed = None

    def rehearse(self, resource: Resource, namespace: str, body: Mapping[str, Any]) -> None:
        self._cluster.rehearse(resource, namespace, body)

    def rehearse_patch(self, resource: Resource, namespace: str, name: str, body: Mapping[str, Any]) -> None:
        self._cluster.rehearse_patch(resource, namespace, name, body)

    # --- watches ---

    def watch(
        self, resource: Resource, namespace: str | None, version: str, stop: threading.Event
    ) -> Iterator[WatchEvent]:
        return self._cluster.watch(resource, namespace, version, stop)

    def place(self, resource: Resource, namespace: str | None) -> str:
        """Where the watch of a scope goes on; empty when it has to begin with a list."""
        with self._lock:
            scope = self._scopes.get((resource, namespace))
            return scope.cache.version if scope is not None else ""

    def follow(self, resource: Resource, namespace: str | None, event: WatchEvent) -> bool:
        """Takes in what a watch heard; whether it is news to a pass."""
        with self._lock:
            scope = self._scopes.get((resource, namespace))
            if scope is None:
                return False
            scope.heard = self._clock()
            is_news = scope.cache.follow(event)
            self._revision += is_news
            return is_news

    def lost(self, resource: Resource, namespace: str | None) -> None:
        """The watch of a scope broke, or was refused: what is kept counts for nothing until it is listed again."""
        with self._lock:
            self._revision += 1
            self._known = _Known()
            if (scope := self._scopes.get((resource, namespace))) is not None:
                scope.cache.lose_place()
                scope.heard = scope.listed = None

    def take_used(self) -> frozenset[Scope]:
        """The scopes that were read since the last call."""
        with self._lock:
            used = frozenset(key for key, scope in self._scopes.items() if scope.used)
            for scope in self._scopes.values():
                scope.used = False
            return used

    def forget(self, resource: Resource, namespace: str | None) -> None:
        """Nobody watches this scope any more."""
        with self._lock:
            self._scopes.pop((resource, namespace), None)

    # --- inside, with the lock held ---

    def _stands(self, scope: _Scope) -> bool:
        is_known = scope.listed is not None and scope.cache.version != ""
        return self._is_fresh(scope) or (self._goes_on and is_known and scope.reading == self._reading)

    def _is_fresh(self, scope: _Scope) -> bool:
        now = self._clock()
        return (
            scope.cache.version != ""
            and scope.heard is not None
            and scope.listed is not None
            and now - scope.heard < SILENT_SECONDS
            and now - scope.listed < self._relist
        )

    def _known_now(self) -> _Known:
        """Believed within one reading, and while a watch tells that the same API server is there."""
        now = self._clock()
        if self._known.reading == self._reading:
            return self._known
        if now - self._known.since >= self._relist or not any(self._is_fresh(scope) for scope in self._scopes.values()):
            self._known = _Known(self._reading, since=now)
        return self._known

    def _answered(self, resource: Resource, namespace: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        with self._lock:
            self._revision += 1
            for where in (namespace, None):
                if (scope := self._scopes.get((resource, where))) is not None:
                    scope.cache.put(body)
        return body

"""What the module asks of a Kubernetes API, and the ways it can refuse.

Implemented in `adapters/` and by fakes in tests.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from threading import Event
from typing import Any, Final, Protocol

from edge_expose_contract.addressing import Address
from edge_expose_contract.reason_table import REASON_TABLE
from edge_expose_contract.reasons import Reason


@dataclass(frozen=True, slots=True)
class Resource:
    """A REST resource: `/api/v1` + `services`."""

    group: str
    plural: str
    kind: str
    only: str = ""
    """The name of the one object that is meant, where others of the kind may not be read."""
    metadata_only: bool = False
    """Only the metadata of the objects is read, where the server can leave out the rest."""

    @property
    def label(self) -> str:
        """As RBAC names it: `services`, `endpointslices.discovery.k8s.io`."""
        parts = self.group.split("/")
        return self.plural if parts[1] == "api" else f"{self.plural}.{parts[2]}"


SERVICES = Resource("/api/v1", "services", "Service")
ENDPOINTS = Resource("/api/v1", "endpoints", "Endpoints")
NAMESPACES = Resource("/api/v1", "namespaces", "Namespace")
PODS = Resource("/api/v1", "pods", "Pod", metadata_only=True)
EVENTS = Resource("/api/v1", "events", "Event")
CONFIG_MAPS = Resource("/api/v1", "configmaps", "ConfigMap")
GUARD_RAILS = Resource("/api/v1", "configmaps", "ConfigMap", only="edge-expose-guard-rails")
NODES = Resource("/api/v1", "nodes", "Node")
ENDPOINT_SLICES = Resource("/apis/discovery.k8s.io/v1", "endpointslices", "EndpointSlice")
OLD_SLICES = Resource("/apis/discovery.k8s.io/v1beta1", "endpointslices", "EndpointSlice (v1beta1)")
"""What Kubernetes below 1.21 serves; we never make these."""

BY_KIND = {resource.kind: resource for resource in (SERVICES, ENDPOINTS, ENDPOINT_SLICES, OLD_SLICES)}


SILENT_SECONDS: Final = 90.0
"""A watch of which nothing was heard for so long, not even a bookmark, is not believed any more."""
FIELD_MANAGER: Final = "edge-expose"
"""Under this name our writes stand in managedFields."""


class ClusterError(Exception):
    """Something the API did not do; the message is fit for a report and holds no secret."""


class Unavailable(ClusterError):
    """Not reachable, overloaded or timed out: try again."""


class Unauthorized(ClusterError):
    """The credentials were not accepted; they may have been rotated."""


class Denied(ClusterError):
    """RBAC says no."""


class NotFound(ClusterError):
    """No such object or resource."""


class Conflict(ClusterError):
    """The object changed or exists already: look again."""


class Rejected(ClusterError):
    """The API server refused the content."""


class Refused(ClusterError):
    """The API server accepts the content and has a reason of its own against the write, such as a quota.

    The text ends with the cure of `reason`; the write is tried again, since it may succeed once that is done. `party`
    is the name of the quota, the policy or the webhook, empty where the API server gives none.
    """

    def __init__(self, reason: Reason, message: str, party: str = "") -> None:
        super().__init__(f"{message}; {REASON_TABLE[reason].cure}")
        self.reason: Reason = reason
        self.party = party


class Gone(ClusterError):
    """A watch asked for a version that is no longer kept."""


@dataclass(frozen=True, slots=True)
class Listing:
    items: tuple[Mapping[str, Any], ...]
    version: str


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """ADDED, MODIFIED or DELETED with the object, or BOOKMARK with a version up to which everything was sent."""

    kind: str
    body: Mapping[str, Any]


class Cluster(Protocol):
    """Blocking calls with deadlines of their own; run them in threads."""

    def version(self) -> str:
        """`gitVersion`, such as v1.36.3."""

    def addresses(self) -> tuple[Address, ...]:
        """Where the API server is, as far as that is known."""

    def resources(self, group: str) -> frozenset[str]:
        """Plural names served under a group path; empty when the group is not there."""

    def list(self, resource: Resource, namespace: str | None, *, labels: str = "", fields: str = "") -> Listing:
        """All objects; `namespace` None means all namespaces."""

    def get(self, resource: Resource, namespace: str, name: str) -> Mapping[str, Any]: ...

    def create(self, resource: Resource, namespace: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """The object as it was made."""

    def rehearse(self, resource: Resource, namespace: str, body: Mapping[str, Any]) -> None:
        """Raises what `create` would raise, and changes nothing. An object of that name is no objection."""

    def patch(self, resource: Resource, namespace: str, name: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """JSON merge patch; the object as it is now."""

    def rehearse_patch(self, resource: Resource, namespace: str, name: str, body: Mapping[str, Any]) -> None:
        """Raises what `patch` would raise, and changes nothing."""

    def delete(self, resource: Resource, namespace: str, name: str, uid: str) -> None:
        """Only the object of this uid, when one is given."""

    def watch(self, resource: Resource, namespace: str | None, version: str, stop: Event) -> Iterator[WatchEvent]:
        """Yields a BOOKMARK of `version` once the server has accepted the watch, then its events; ends on time-out or
        when `stop` is set. Raises Unavailable when nothing is heard for `SILENT_SECONDS`."""

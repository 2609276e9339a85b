"""IoT Hub as the use cases see it: values, typed outcomes and the Protocol that adapters and fakes fulfil. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

Json = dict[str, Any]


class HubProblem(StrEnum):
    """Why a call did not work."""

    NOT_FOUND = "not-found"
    CONFLICT = "conflict"
    PRECONDITION = "precondition"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    INVALID = "invalid"
    THROTTLED = "throttled"
    OFFLINE = "offline"
    UNAVAILABLE = "unavailable"
    UNREACHABLE = "unreachable"
    UNEXPECTED = "unexpected"


HINTS: Mapping[HubProblem, str] = {
    HubProblem.NOT_FOUND: "check the device id and that the device is registered in this hub",
    HubProblem.CONFLICT: "somebody made it meanwhile; plan again",
    HubProblem.PRECONDITION: "the twin or deployment changed meanwhile; plan again",
    HubProblem.UNAUTHORIZED: "check the connection string's policy and key, or your IoT Hub data role",
    HubProblem.FORBIDDEN: "a quota or a permission of this hub forbids it",
    HubProblem.INVALID: "IoT Hub refused the document as it stands",
    HubProblem.THROTTLED: "the hub is busy; try again in a minute",
    HubProblem.OFFLINE: "the device or module is not connected to the hub",
    HubProblem.UNAVAILABLE: "the hub had an error of its own; try again",
    HubProblem.UNREACHABLE: "check the host name, the network, a proxy, and EDGE_EXPOSE_HUB_CA for a private CA",
    HubProblem.UNEXPECTED: "the answer was not understood",
}


class HubError(Exception):
    """A call that failed. `code` is IoT Hub's own error name ("" when it gave none); the text never holds a secret."""

    def __init__(self, problem: HubProblem, message: str, code: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.problem = problem
        self.message = message
        self.code = code
        self.hint = hint or HINTS[problem]

    @property
    def is_transient(self) -> bool:
        return self.problem in (HubProblem.THROTTLED, HubProblem.UNAVAILABLE, HubProblem.UNREACHABLE)


@dataclass(frozen=True, slots=True)
class Twin:
    """A device or module twin. `desired` and `reported` are without `$version` and `$metadata`.

    `last_activity` is when the hub last heard of it (RFC 3339), "" where it does not say.
    """

    device_id: str
    module_id: str | None
    etag: str
    desired: Json = field(default_factory=dict)
    reported: Json = field(default_factory=dict)
    tags: Json = field(default_factory=dict)
    desired_version: int = 0
    reported_version: int = 0
    connection_state: str = ""
    configurations: Json = field(default_factory=dict)
    desired_metadata: Json = field(default_factory=dict)
    last_activity: str = ""


@dataclass(frozen=True, slots=True)
class Deployment:
    """An automatic deployment (or another configuration). `etag` is unquoted, "" for one not yet created."""

    id: str
    content: Json
    target_condition: str
    priority: int = 0
    labels: dict[str, str] = field(default_factory=dict)
    metric_queries: dict[str, str] = field(default_factory=dict)
    metric_results: dict[str, int] = field(default_factory=dict)
    system_results: dict[str, int] = field(default_factory=dict)
    etag: str = ""
    created: str = ""

    @property
    def modules_content(self) -> Json:
        found = self.content.get("modulesContent")
        return found if isinstance(found, dict) else {}


@dataclass(frozen=True, slots=True)
class MethodResult:
    status: int
    payload: Any


class Hub(Protocol):
    """Every call may raise HubError; `None` means the thing does not exist."""

    @property
    def host(self) -> str: ...

    def device_twin(self, device_id: str) -> Twin | None: ...

    def module_twin(self, device_id: str, module_id: str) -> Twin | None: ...

    def module_twins(self, module_id: str) -> list[Twin]:
        """By query: may lag a few seconds behind."""
        ...

    def module_twins_page(self, module_id: str, token: str | None) -> tuple[list[Twin], str | None]:
        """One page of `module_twins` (one query of the hub's quota) and the token of the next, None after the last."""
        ...

    def edge_devices_page(self, token: str | None) -> tuple[list[Twin], str | None]:
        """One page of the device twins of all IoT Edge devices, in the same way."""
        ...

    def each_module_twin(self, module_id: str) -> Iterator[Twin]:
        """The same, page by page."""
        ...

    def unconverged(self, module_id: str, limit: int) -> list[Twin]:
        """By query: twins whose module has not taken the document, refused it, or has exposures that are not ready."""
        ...

    def count_unconverged(self, module_id: str) -> int: ...

    def targeted_devices(self, deployment_ids: Iterable[str]) -> list[str]:
        """By query: the devices that one of these automatic deployments targets."""
        ...

    def devices_matching(self, condition: str) -> list[str]:
        """By query: the IoT Edge devices that a target condition matches, `*` for all."""
        ...

    def module_ids(self, device_id: str) -> list[str]: ...

    def patch_module_twin(self, device_id: str, module_id: str, desired: Mapping[str, Any], etag: str) -> Twin:
        """Merge patch of desired properties under If-Match; PRECONDITION when the twin moved."""
        ...

    def patch_device_tags(self, device_id: str, tags: Mapping[str, Any], etag: str) -> Twin: ...

    def apply_content(
        self, device_id: str, modules_content: Mapping[str, Any], ready: Callable[[], None] = lambda: None
    ) -> None:
        """Set modules: creates missing module identities, replaces the desired section of each module named.

        `ready` is called right before each request: a call may wait for its quota, and be repeated after a 429. What
        it raises ends the call, and nothing more is sent.
        """
        ...

    def deployments(self) -> list[Deployment]: ...

    def create_deployment(self, deployment: Deployment) -> Deployment: ...

    def update_deployment(self, deployment: Deployment) -> Deployment:
        """Condition, priority, labels and metrics; content is immutable. If-Match is the deployment's etag."""
        ...

    def delete_deployment(self, deployment_id: str) -> None: ...

    def invoke(self, device_id: str, module_id: str, method: str, payload: Any, timeout: int = 30) -> MethodResult: ...


def without_hub_keys(section: Mapping[str, Any]) -> Json:
    """A section without the hub's own `$version` and `$metadata`."""
    return {key: value for key, value in section.items() if not key.startswith("$")}

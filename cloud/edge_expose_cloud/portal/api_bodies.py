"""The bodies that the JSON API answers with, for its OpenAPI document; a test holds the answers to them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Problem(Body):
    error: str
    hint: str = Field("", description="What to try.")


class Violation(Body):
    rule: str
    severity: Literal["error", "warning"]
    file: str | None = None
    line: int | None = None
    path: str
    message: str
    hint: str | None = None


class Violations(Body):
    violations: list[Violation]


class SessionBody(Body):
    user: str
    role: Literal["viewer", "operator"]
    csrfToken: str = Field(description="Of the forms of a browser session; empty for a token.")


class Health(Body):
    state: str = Field(description="The worst of what the module and the hub say, in one or two words.")
    attention: bool
    why: str | None


class Used(Body):
    used: int
    available: int


class DeviceRow(Health):
    deviceId: str
    openToEveryone: int = Field(description="How many exposures everyone who reaches the device may connect to.")
    connectionState: str
    summary: dict[str, int] = Field(description="How many exposures are in each state.")
    addresses: Used
    tags: dict[str, str]
    readAt: float = Field(description="When it was read, in Unix seconds; 0 for never.")


class Devices(Body):
    devices: list[DeviceRow]
    found: int
    page: int
    pages: int


class DesiredStatus(Body):
    code: int
    description: str


class Status(Body):
    """As `edge-expose status -o json`."""

    deviceId: str
    health: Health
    summary: dict[str, Any]
    exposures: dict[str, dict[str, Any]]
    desiredVersion: int
    lastDesiredVersion: int | None
    lastDesiredStatus: DesiredStatus | None
    connectionState: str
    pool: dict[str, Any]
    pendingRemoval: dict[str, Any] | None
    note: str
    lastKnown: bool
    warnings: list[str]


class AddressBody(Body):
    address: str
    kind: Literal["held", "pinned", "shared", "reserved", "foreign", "node", "free"]
    exposures: list[str]
    owner: str = Field(description="Of a reservation or of another Service.")


class ModuleBody(Body):
    name: str
    image: str
    status: str = Field(description="As edgeAgent reports it; empty where it does not.")


class DeviceBody(Body):
    deviceId: str
    connectionState: str
    tags: dict[str, Any]
    site: dict[str, Any]
    status: Status | None
    addresses: list[AddressBody]
    modules: list[ModuleBody]
    owners: dict[str, str] = Field(description="Exposure -> the deployment that sets it.")


class ExposureBody(Body):
    name: str
    declared: Any = Field(description="As in the desired properties.")
    reported: dict[str, Any] | None
    owner: str | None = Field(description="The deployment that sets it.")


class ChangeBody(Body):
    action: Literal["create", "update", "delete"]
    kind: Literal["Service", "ModuleTwin", "Manifest", "Deployment"]
    namespace: str | None
    name: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class ImpactBody(Body):
    kind: str
    subject: str
    address: str | None
    text: str


class DangerBody(Body):
    kind: str
    count: int
    what: str


class Planned(Body):
    """What a dry run shows."""

    applied: Literal[False]
    digest: str
    notes: list[str]
    changes: list[ChangeBody]
    impact: list[ImpactBody]
    dangers: list[DangerBody] = Field(description="Each needs its kind and count in `allow`.")
    findings: list[Violation]
    violations: list[Violation]
    breaks: list[str]


class Applied(Body):
    applied: Literal[True]
    result: str

"""The reported properties of our module, as the cloud reads them; lenient, since a newer module may say more."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge_expose_contract.identity import State


class Lenient(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class DesiredStatus(Lenient):
    code: int
    description: str = ""


class ModuleInfo(Lenient):
    version: str = ""


class ClusterInfo(Lenient):
    version: str = ""
    load_balancer: str = Field("", alias="loadBalancer")
    api: str = ""
    denied: str = ""


class PoolReport(Lenient):
    ranges: str = ""
    size: int = 0
    used: int = 0
    reserved: int = 0
    free: int = 0
    reason: str | None = None
    message: str | None = None
    values: list[str] | None = Field(None, description="What the reason is about: docs/reference/reasons.md.")


class Summary(Lenient):
    ready: int = 0
    pending: int = 0
    blocked: int = 0
    failed: int = 0
    expired: int = 0
    disabled: int = 0
    not_ready: int = Field(0, alias="notReady")


class ExposureReport(Lenient):
    state: State
    address: str | None = None
    service: str | None = None
    endpoints: int | None = None
    since: str | None = None
    reason: str | None = None
    message: str | None = None
    values: list[str] | None = Field(None, description="What the reason is about: docs/reference/reasons.md.")
    probe: str | None = None


class PendingRemoval(Lenient):
    count: int
    token: str


class Reported(Lenient):
    """`exposures` is keyed by name; every part may be missing before the module's first report."""

    last_desired_version: int | None = Field(None, alias="lastDesiredVersion")
    last_desired_status: DesiredStatus | None = Field(None, alias="lastDesiredStatus")
    module: ModuleInfo | None = None
    cluster: ClusterInfo | None = None
    pool: PoolReport | None = None
    summary: Summary | None = None
    exposures: dict[str, ExposureReport] = Field(default_factory=dict)
    pending_removal: PendingRemoval | None = Field(None, alias="pendingRemoval")
    warnings: list[str] = Field(default_factory=list)
    shortened: bool = False


def parse_reported(section: dict[str, Any]) -> Reported:
    """Reads a reported section, whatever it holds: a part or an exposure that makes no sense is dropped alone."""
    content = {key: value for key, value in section.items() if not key.startswith("$")}
    try:
        return Reported.model_validate(content)
    except ValidationError:
        return Reported.model_validate(_sensible(content))


def _sensible(content: dict[str, Any]) -> dict[str, Any]:
    """What is left when each part, and each exposure, has been tried alone."""
    exposures = content.get("exposures")
    if isinstance(exposures, dict):
        fitting = {name: entry for name, entry in exposures.items() if _fits({"exposures": {name: entry}})}
        content = {**content, "exposures": fitting}
    return {key: value for key, value in content.items() if _fits({key: value})}


def _fits(part: dict[str, Any]) -> bool:
    try:
        Reported.model_validate(part)
    except ValidationError:
        return False
    return True

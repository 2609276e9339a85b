"""What somebody wants changed on one device, and its plan: the one way from forms and API calls to the use cases."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from edge_expose_cloud.findings.finding import Finding
from edge_expose_cloud.findings.problems import InputError, Missing, Refused
from edge_expose_cloud.hub.api import Hub, Json
from edge_expose_cloud.plan.backups import Backup
from edge_expose_cloud.plan.model import Plan
from edge_expose_cloud.portal.http.guards import is_text
from edge_expose_cloud.portal.live.reading_hub import ReadingHub
from edge_expose_cloud.portal.paths import device_path, exposure_path
from edge_expose_cloud.usecases.apply import check_conflicts
from edge_expose_cloud.usecases.change_ranges import plan_site
from edge_expose_cloud.usecases.expose import plan_expose, plan_unexpose
from edge_expose_cloud.usecases.release import plan_release
from edge_expose_cloud.usecases.rollback import plan_restore
from edge_expose_contract.identity import MODULE_ID

Kind = Literal["expose", "remove", "disable", "enable", "ranges", "revert", "release"]
SITE_KEYS: Final = ("externalServiceIPs", "nodeIPs", "reserved")
_UNREADABLE: Final = "the submitted plan cannot be read"
_NOT_OURS: Final = "the submitted plan is not valid"
_START_AGAIN: Final = "start again from the device's page"
KINDS: Final[tuple[Kind, ...]] = ("expose", "remove", "disable", "enable", "ranges", "revert", "release")


@dataclass(frozen=True, slots=True)
class ChangeRequest:
    """`name` is the exposure or the backup; `fields` the exposure or the keys of `site`.

    `base` is what was declared when the form was opened, None when there was nothing.
    """

    kind: Kind
    device: str
    name: str = ""
    fields: Json = field(default_factory=dict)
    base: Json | None = None

    def to_text(self) -> str:
        body = {"kind": self.kind, "name": self.name, "fields": self.fields, "base": self.base}
        return json.dumps(body, sort_keys=True)

    @property
    def has_form(self) -> bool:
        """Others are one button each."""
        return self.kind in ("expose", "ranges")

    @property
    def place(self) -> str:
        """The page that shows what became of it."""
        if self.kind in ("expose", "disable", "enable"):
            return exposure_path(self.device, self.name)
        return device_path(self.device)

    @property
    def title(self) -> str:
        match self.kind:
            case "expose":
                return f"Expose {self.name}"
            case "ranges":
                return "Change the Compute network"
            case "revert":
                return "Restore a backup"
            case "release":
                return "Confirm the removal"
            case _:
                return f"{self.kind.capitalize()} {self.name or '(no name)'}"


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """A change whose plan is shown, with the note that was typed there."""

    change: ChangeRequest
    note: str = ""


def pressed(device: str, fields: Mapping[str, str]) -> ChangeRequest:
    """The change that a button of a page stands for. Raises Refused."""
    kind = next((kind for kind in KINDS if kind == fields.get("kind")), None)
    change = ChangeRequest(kind, device, fields.get("name", "")) if kind is not None else None
    if change is None or change.has_form:
        raise Refused("the submitted action is not known", _START_AGAIN)
    return change


def change_of(device: str, text: str) -> ChangeRequest:
    """From the hidden field of a plan page, which anybody may have written. Raises Refused."""
    body = json_of(text)
    try:
        kind, name, fields, base = body["kind"], body["name"], body["fields"], body["base"]
    except (KeyError, TypeError):
        raise Refused(_NOT_OURS, _START_AGAIN) from None
    if kind not in KINDS or not isinstance(name, str) or not isinstance(fields, dict):
        raise Refused(_NOT_OURS, _START_AGAIN)
    return ChangeRequest(kind, device, name, fields, _base(base))


def base_of(text: str) -> Json | None:
    """From the hidden field of a form: "" where nothing was declared. Raises Refused."""
    return _base(json_of(text)) if text else None


def json_of(text: str) -> Any:
    """JSON that a page of ours was sent back with. Raises Refused."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise Refused(_UNREADABLE, _START_AGAIN) from None
    if not is_text(value):
        raise Refused(_UNREADABLE, _START_AGAIN)
    return value


def _base(value: object) -> Json | None:
    if value is not None and not isinstance(value, dict):
        raise Refused(_NOT_OURS, _START_AGAIN)
    return value


def declared_now(hub: Hub, change: ChangeRequest) -> Any:
    """What is declared now of what the form of a change shows, None when it is not there; anybody may have typed it."""
    twin = hub.module_twin(change.device, MODULE_ID)
    desired = twin.desired if twin is not None else {}
    if change.kind == "ranges":
        return site_base(desired.get("site"))
    exposures = desired.get("exposures")
    return exposures.get(change.name) if isinstance(exposures, dict) else None


def check_name(change: ChangeRequest, now: object) -> None:
    """A new exposure does not take the name of one that is there. Raises InputError."""
    if change.kind == "expose" and change.base is None and now is not None:
        what = f"an exposure named {change.name!r} already exists"
        raise InputError([Finding("InvalidName", "error", "name", what, "choose another name, or edit that exposure")])


def site_base(site: object) -> Json:
    """The part of `site` that the Compute network form shows."""
    return {key: site[key] for key in SITE_KEYS if key in site} if isinstance(site, dict) else {}


def plan_change(hub: ReadingHub, change: ChangeRequest, backups: Callable[[str], list[Backup]]) -> Plan:
    """Raises InputError, Refused or HubError, as the use cases do."""
    match change.kind:
        case "expose":
            plan = plan_expose(hub, change.device, change.name, change.fields)
        case "remove":
            plan = plan_unexpose(hub, change.device, change.name)
        case "disable" | "enable":
            declared = {**_declared(hub, change), "enabled": change.kind == "enable"}
            plan = plan_expose(hub, change.device, change.name, declared)
        case "ranges":
            plan = plan_site(hub, change.device, change.fields)
        case "revert":
            chosen = [backup for backup in backups(change.device) if backup.name == change.name]
            if not chosen:
                raise Refused("there is no such backup", "choose one on the History page")
            plan = plan_restore(hub, change.device, chosen[0].content, only=MODULE_ID)
        case "release":
            plan = plan_release(hub, change.device)
    check_conflicts(plan)
    return plan


def _declared(hub: Hub, change: ChangeRequest) -> dict[str, Any]:
    twin = hub.module_twin(change.device, MODULE_ID)
    exposures = twin.desired.get("exposures") if twin is not None else None
    entry = exposures.get(change.name) if isinstance(exposures, dict) else None
    if not isinstance(entry, dict):
        raise Missing(f"device {change.device} declares no exposure {change.name!r}", "it may already be removed")
    return entry

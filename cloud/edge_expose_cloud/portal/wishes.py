"""What somebody wants changed on one device, and its plan: the one way from forms and API calls to the use cases."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from edge_expose_cloud.findings import Finding
from edge_expose_cloud.fleet_status import status_of
from edge_expose_cloud.hub import Hub, Json
from edge_expose_cloud.planning import current_exposures
from edge_expose_cloud.plans import Plan
from edge_expose_cloud.portal.planned import breaks
from edge_expose_cloud.usecases.changing_ranges import plan_site
from edge_expose_cloud.usecases.exposing import plan_expose, plan_unexpose
from edge_expose_cloud.usecases.history import Backup, backup_prefix, plan_revert, read_backups
from edge_expose_cloud.usecases.problems import Refused
from edge_expose_cloud.usecases.releasing import plan_release
from edge_expose_contract.identity import MODULE_ID

Kind = Literal["expose", "remove", "disable", "enable", "ranges", "revert", "release"]
KINDS: Final[tuple[Kind, ...]] = ("expose", "remove", "disable", "enable", "ranges", "revert", "release")


@dataclass(frozen=True, slots=True)
class Wish:
    """`name` is the exposure or the backup; `fields` the exposure or the keys of `site`."""

    kind: Kind
    device: str
    name: str = ""
    fields: Json = field(default_factory=dict)

    def to_text(self) -> str:
        return json.dumps({"kind": self.kind, "name": self.name, "fields": self.fields}, sort_keys=True)

    @property
    def title(self) -> str:
        match self.kind:
            case "expose":
                return f"Expose {self.name}"
            case "ranges":
                return "Change the Compute network"
            case "revert":
                return "Go back to an earlier state"
            case "release":
                return "Confirm the removal"
            case _:
                return f"{self.kind.capitalize()} {self.name}"


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan, warnings beside it, and what it will break."""

    plan: Plan
    findings: list[Finding] = field(default_factory=list)
    breaks: list[str] = field(default_factory=list)


def wish_of(device: str, text: str) -> Wish:
    """From the hidden field of a plan page, which anybody may have written. Raises Refused."""
    try:
        body = json.loads(text)
        kind, name, fields = body["kind"], body["name"], body["fields"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Refused("the plan of this page cannot be read", "start again from the device's page") from None
    if kind not in KINDS or not isinstance(name, str) or not isinstance(fields, dict):
        raise Refused("the plan of this page is not one of ours", "start again from the device's page")
    return Wish(kind, device, name, fields)


def plan_wish(hub: Hub, wish: Wish, backups: Callable[[str], list[Backup]]) -> Planned:
    """Raises InputError, Refused or HubError, as the use cases do."""
    match wish.kind:
        case "expose":
            plan, findings = plan_expose(hub, wish.device, wish.name, wish.fields)
            return Planned(plan, findings)
        case "remove":
            return Planned(plan_unexpose(hub, wish.device, wish.name), breaks=_breaks(hub, wish))
        case "disable" | "enable":
            declared = _declared(hub, wish)
            plan, findings = plan_expose(hub, wish.device, wish.name, {**declared, "enabled": wish.kind == "enable"})
            return Planned(plan, findings, _breaks(hub, wish) if wish.kind == "disable" else [])
        case "ranges":
            plan, findings, moves = plan_site(hub, wish.device, wish.fields)
            return Planned(plan, findings, [f"{move.exposure} loses {move.address}: {move.why}" for move in moves])
        case "revert":
            chosen = [backup for backup in backups(wish.device) if backup.name == wish.name]
            if not chosen:
                raise Refused("there is no such backup", "choose one of the history page")
            return Planned(plan_revert(hub, wish.device, chosen[0]))
        case "release":
            return Planned(plan_release(hub, wish.device))


def _declared(hub: Hub, wish: Wish) -> dict[str, Any]:
    twin = hub.module_twin(wish.device, MODULE_ID)
    exposures = twin.desired.get("exposures") if twin is not None else None
    entry = exposures.get(wish.name) if isinstance(exposures, dict) else None
    if not isinstance(entry, dict):
        raise Refused(f"device {wish.device} declares no exposure {wish.name!r}", "it may be removed already")
    return entry


def _breaks(hub: Hub, wish: Wish) -> list[str]:
    twin = hub.module_twin(wish.device, MODULE_ID)
    if twin is None:
        return []
    entries = status_of(twin).exposures
    return breaks(wish.name, current_exposures(twin).get(wish.name), entries.get(wish.name, {}), entries)


def backups_in(folder: Path) -> Callable[[str], list[Backup]]:
    """The backups of a device from the folder that every apply writes to."""

    def look(device: str) -> list[Backup]:
        prefix = backup_prefix(device)
        try:
            names = sorted((path for path in folder.iterdir() if path.name.startswith(prefix)), reverse=True)[:50]
            return read_backups(device, [(path.name, path.read_text(encoding="utf-8")) for path in names])
        except OSError:
            return []

    return look

"""History of one device: the backups that every change of ours writes first, and the way back to one of them.

Only our own module's twin is brought back here: exposures and ranges. `rollback` brings back whole devices.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from edge_expose_cloud.hub import Hub, Json, merge_patch, same_json
from edge_expose_cloud.plans import Plan
from edge_expose_cloud.usecases.observing import observe_device, targeting_deployments
from edge_expose_cloud.usecases.owning import owned_keys
from edge_expose_cloud.usecases.problems import Refused
from edge_expose_cloud.usecases.rolling_back import plan_restore
from edge_expose_contract.identity import MODULE_ID
from edge_expose_contract.parsing import Refusal, parse_desired

_STAMP = "%Y%m%dT%H%M%S%fZ"


@dataclass(frozen=True, slots=True)
class Backup:
    """What our module's twin asked for until `time`; `name` is the file's."""

    name: str
    time: dt.datetime
    desired: Json


@dataclass(frozen=True, slots=True)
class Difference:
    """What going back to a backup would do, by exposure name."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    site: bool

    @property
    def is_nothing(self) -> bool:
        return not (self.added or self.removed or self.changed or self.site)


def backup_prefix(device_id: str) -> str:
    """How the names of a device's backups begin."""
    return "".join(char if char.isalnum() or char in "-_." else "_" for char in device_id) + "-"


def read_backups(device_id: str, files: Iterable[tuple[str, str]]) -> list[Backup]:
    """(name, text) of files -> this device's backups, newest first; what is none is passed over."""
    prefix = backup_prefix(device_id)
    found = []
    for name, text in files:
        if not name.startswith(prefix) or not name.endswith(".json"):
            continue
        try:
            time = dt.datetime.strptime(name.removeprefix(prefix).removesuffix(".json"), _STAMP).replace(tzinfo=dt.UTC)
            desired = json.loads(text)["modulesContent"][MODULE_ID]["properties.desired"]
        except (ValueError, KeyError, TypeError):
            continue
        if isinstance(desired, dict):
            found.append(Backup(name, time, desired))
    return sorted(found, key=lambda backup: backup.time, reverse=True)


def difference(now: Mapping[str, Any], then: Mapping[str, Any]) -> Difference:
    """From the twin as it is to the backup."""
    current, old = now.get("exposures") or {}, then.get("exposures") or {}
    return Difference(
        added=tuple(sorted(old.keys() - current.keys())),
        removed=tuple(sorted(current.keys() - old.keys())),
        changed=tuple(sorted(name for name in old.keys() & current.keys() if not same_json(old[name], current[name]))),
        site=not same_json(now.get("site") or {}, then.get("site") or {}),
    )


def plan_revert(hub: Hub, device_id: str, backup: Backup) -> Plan:
    """A plan that brings exposures and ranges back to the backup."""
    state = observe_device(hub, device_id)
    twin = state.ours
    if twin is None:
        raise Refused(f"device {device_id} has no module {MODULE_ID}", "apply a spec first")
    parsed = parse_desired(backup.desired)
    if isinstance(parsed, Refusal):
        raise Refused(f"the backup {backup.name} is not accepted any more: {parsed.description}", "choose another one")
    patch = merge_patch(twin.desired, backup.desired)
    owned = [key for key in owned_keys(state, twin, targeting_deployments(state, hub.deployments())) if key.owner]
    taken = [key for key in owned if _touches(patch, key.path)]
    if taken:
        raise Refused(
            f"{taken[0].path} is set by the deployment {taken[0].owner}, which would set it again",
            "change the spec of that deployment",
        )
    return plan_restore(hub, device_id, json.dumps({"modulesContent": {MODULE_ID: section(backup.desired)}}))


def section(desired: Json) -> Json:
    """Our module's part of a manifest."""
    return {"properties.desired": desired}


def _touches(patch: Mapping[str, Any], path: str) -> bool:
    current: Any = patch
    for part in path.split("."):
        if not isinstance(current, Mapping) or part not in current:
            return False
        current = current[part]
    return True

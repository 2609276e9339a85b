"""Who sets what: for each key of our module's desired properties, who set it and whether that will last."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from edge_expose_cloud.findings.problems import Refused, no_module
from edge_expose_cloud.hub.api import Deployment, Hub, Json, Twin
from edge_expose_cloud.plan.device import DeviceState
from edge_expose_cloud.plan.observation import observe_device, targeting_deployments
from edge_expose_contract.identity import MODULE_ID
from edge_expose_contract.merging import same_json

_PREFIX = "properties.desired"


@dataclass(frozen=True, slots=True)
class OwnedKey:
    """One key (`exposures.web`). `owner` is a deployment's id, or "" when the twin was written directly.

    `overwritten` says that the owner's content holds another value, which the hub sets at its next evaluation.
    """

    path: str
    value: Any
    owner: str
    updated: str
    version: int | None
    overwritten: bool = False
    losers: tuple[str, ...] = ()

    def to_json(self) -> Json:
        return {
            "path": self.path,
            "value": self.value,
            "owner": self.owner or None,
            "updated": self.updated,
            "version": self.version,
            "lasts": not self.overwritten,
            "losers": list(self.losers),
        }


def key_owners(hub: Hub, device_id: str) -> list[OwnedKey]:
    """Every key of the twin, and those that a deployment sets and the twin does not hold yet."""
    state = observe_device(hub, device_id)
    if state.ours is None:
        raise no_module(device_id)
    return owned_keys(state, state.ours, targeting_deployments(state, hub.deployments()))


def owned_keys(state: DeviceState, twin: Twin, deployments: Iterable[Deployment]) -> list[OwnedKey]:
    """The same, from what was read. Pure."""
    claims = _claims(deployments)
    held = dict(_leaves(twin.desired))
    found = []
    for path in sorted(held.keys() | claims.keys()):
        setters = claims.get(path, [])
        winner = setters[-1] if setters else None
        stamp = _stamp(twin.desired_metadata, path)
        found.append(
            OwnedKey(
                path=path,
                value=held.get(path),
                owner=winner[0] if winner else "",
                updated=str(stamp.get("$lastUpdated") or ""),
                version=stamp.get("$lastUpdatedVersion"),
                overwritten=winner is not None and not same_json(held.get(path), winner[1]),
                losers=tuple(name for name, _ in setters[:-1]),
            )
        )
    return found


def refuse_owned(patch: Mapping[str, Any], keys: Iterable[OwnedKey]) -> None:
    """Refused when a patch of our module's twin touches what an automatic deployment sets, and would set again."""
    taken = [key for key in keys if key.owner and _touches(patch, key.path)]
    if taken:
        owned: dict[str, list[str]] = {}
        for key in taken:
            owned.setdefault(key.owner, []).append(key.path)
        several = "; ".join(
            f"{', '.join(paths)} {'is' if len(paths) == 1 else 'are'} set by the deployment {owner}"
            for owner, paths in sorted(owned.items())
        )
        one = len(owned) == 1
        raise Refused(
            f"{several}, which would set {'it' if len(taken) == 1 else 'them'} again",
            f"change the spec of {'that deployment' if one else 'those deployments'}, "
            "or edge-expose rollback NAME promotes an earlier one",
        )


def _touches(patch: Mapping[str, Any], path: str) -> bool:
    current: Any = patch
    for part in path.split("."):
        if not isinstance(current, Mapping):
            return True  # a key above it is written whole, or removed
        if part not in current:
            return False
        current = current[part]
    return True


def refuse_targeted(device_id: str, deployments: Iterable[Deployment]) -> None:
    """Refused when an automatic deployment targets the device: it takes either those or set modules."""
    names = ", ".join(sorted(item.id for item in deployments))
    if names:
        raise Refused(
            f"device {device_id} is targeted by the automatic deployment {names}: "
            "it would overwrite set modules at its next evaluation",
            "change that deployment, or take the device out of its target condition",
        )


def _claims(deployments: Iterable[Deployment]) -> dict[str, list[tuple[str, Any]]]:
    """Key -> the deployments that set it, the winner (highest priority, then newest) last."""
    found: dict[str, list[tuple[str, Any]]] = {}
    for item in sorted(deployments, key=lambda one: (one.priority, one.created)):
        section = item.modules_content.get(MODULE_ID)
        for key, value in section.items() if isinstance(section, dict) else ():
            if key == _PREFIX and isinstance(value, dict):
                leaves = dict(_leaves(value))
            elif key.startswith(f"{_PREFIX}."):
                leaves = {_grouped(key.removeprefix(f"{_PREFIX}.")): value}
            else:
                continue
            for path, leaf in leaves.items():
                found.setdefault(path, []).append((item.id, leaf))
    return found


def _grouped(path: str) -> str:
    """Keys below one exposure count as that exposure."""
    return ".".join(path.split(".")[:2])


def _leaves(desired: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """`schemaVersion`, `site.nodeIPs`, `exposures.web`: the level at which people speak of it."""
    found: list[tuple[str, Any]] = []
    for key, value in desired.items():
        if isinstance(value, dict) and value and key in ("site", "exposures"):
            found += [(f"{key}.{name}", item) for name, item in value.items()]
        else:
            found.append((key, value))
    return found


def _stamp(metadata: Json, path: str) -> Json:
    """The `$metadata` entry of a key; the nearest one above it when it has none."""
    best: Json = metadata
    current: Any = metadata
    for part in path.split("."):
        current = current.get(part) if isinstance(current, dict) else None
        if not isinstance(current, dict):
            break
        if "$lastUpdated" in current:
            best = current
    return best

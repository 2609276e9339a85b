"""Which devices another target condition takes in and lets go: by query, which may lag a few seconds behind."""

from __future__ import annotations

from typing import Final

from edge_expose_cloud.hub.api import Deployment, Hub
from edge_expose_cloud.plan.model import Impact

NAMED: Final = 5


def target_impact(hub: Hub, current: Deployment | None, condition: str) -> tuple[Impact, ...]:
    """Nothing where the condition stays or is the first: a device that joins meanwhile is no other plan then."""
    if current is None or current.target_condition == condition:
        return ()
    before, after = set(hub.devices_matching(current.target_condition)), set(hub.devices_matching(condition))
    found = []
    if joining := sorted(after - before):
        found.append(Impact("targets", joining[0], f"{_devices(joining)} now targeted by this deployment"))
    if leaving := sorted(before - after):
        text = f"{_devices(leaving)} no longer targeted: its modules go, unless another deployment brings them"
        found.append(Impact("targets", leaving[0], text))
    return tuple(found)


def _devices(names: list[str]) -> str:
    shown = ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
    return f"1 device ({shown}) is" if len(names) == 1 else f"{len(names)} devices ({shown}) are"

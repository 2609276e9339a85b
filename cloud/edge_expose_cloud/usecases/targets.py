"""Which devices another target condition takes in and lets go: by query, which may lag a few seconds behind."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from edge_expose_cloud.hub.api import Deployment, Hub
from edge_expose_cloud.plan.model import Impact, counted, few

Matching = Callable[[str], frozenset[str]]
"""The devices that a target condition matches."""


def matching(hub: Hub) -> Matching:
    """Asks the hub once for each condition, since queries are few. For one plan."""
    return cache(lambda condition: frozenset(hub.devices_matching(condition)))


def target_impact(matching: Matching, current: Deployment | None, condition: str) -> tuple[Impact, ...]:
    """Nothing where the condition stays or is the first: a device that joins meanwhile is no other plan then."""
    if current is None or current.target_condition == condition:
        return ()
    before, after = matching(current.target_condition), matching(condition)
    found = []
    if joining := sorted(after - before):
        found.append(Impact("targets", joining[0], f"{_devices(joining)} now targeted by this deployment"))
    if leaving := sorted(before - after):
        text = f"{_devices(leaving)} no longer targeted: its modules go, unless another deployment brings them"
        found.append(Impact("targets", leaving[0], text))
    return tuple(found)


def _devices(names: list[str]) -> str:
    return f"{counted(len(names), 'device')} ({few(names, most=5)}) {'is' if len(names) == 1 else 'are'}"

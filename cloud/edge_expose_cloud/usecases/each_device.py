"""One spec for many single devices: `target: {device: "${deviceId}"}` and an inventory. Device by device, resumable.

Every device gets a plan of its own, with its own variables and ranges. Nothing is remembered between runs: a run that
was cut short is repeated, and devices that are done have nothing to change.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from edge_expose_cloud.findings.finding import Finding
from edge_expose_cloud.findings.problems import InputError, Refused
from edge_expose_cloud.hub.api import Hub, HubError, HubProblem
from edge_expose_cloud.plan.model import Plan
from edge_expose_cloud.spec.inventory import Inventory
from edge_expose_cloud.spec.load import LoadedSpec
from edge_expose_cloud.spec.model import Spec
from edge_expose_cloud.usecases.apply import apply_plan, check_conflicts, check_dangers, check_digest
from edge_expose_cloud.usecases.operator import Operator
from edge_expose_cloud.usecases.plan import make_plan, require_spec


@dataclass(frozen=True, slots=True)
class DeviceSpec:
    """The spec as one device sees it, and the warnings that stand beside it."""

    device_id: str
    spec: Spec
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class DevicePlan:
    """What apply would do to one device; `again` plans it anew."""

    of: DeviceSpec
    plan: Plan
    again: Callable[[], Plan]

    @property
    def device_id(self) -> str:
        return self.of.device_id


@dataclass(frozen=True, slots=True)
class DeviceOutcome:
    """`problem` is None when it was done; `done` then says what."""

    device_id: str
    done: str
    problem: Refused | HubError | None = None


def chosen_devices(inventory: Inventory | None, named: Iterable[str], every: bool) -> list[str]:
    """The devices of `--device` and `--every-device`, in the order of the inventory's names."""
    if every and inventory is None:
        raise Refused("--every-device needs an inventory", "add --fleet FILE")
    known = sorted(inventory.devices) if inventory is not None and every else []
    return list(dict.fromkeys([*named, *known]))


def load_each(load: Callable[[str], LoadedSpec], devices: Iterable[str]) -> Iterator[DeviceSpec]:
    """The spec as each device sees it. InputError with what is wrong for any of them, each finding once."""
    wrong: dict[Finding, None] = {}
    specs: list[DeviceSpec] = []
    for device in devices:
        try:
            loaded = load(device)
            specs.append(DeviceSpec(device, require_spec(loaded), tuple(loaded.findings)))
        except InputError as error:
            wrong.update(dict.fromkeys(error.findings))
    if wrong:
        raise InputError(list(wrong))
    for item in specs:
        if item.spec.target.device != item.device_id:
            raise Refused(
                f"the spec targets {item.spec.target_text}, not device {item.device_id}",
                'write target: {device: "${deviceId}"} to use it for each device named',
            )
        yield item


def plan_each(
    hub: Hub,
    specs: Iterable[DeviceSpec],
    environment: Mapping[str, str],
    inventory: Inventory | None = None,
) -> Iterator[DevicePlan | DeviceOutcome]:
    """Plans one after the other. A device that refuses (one that is not registered, say) does not stop the others; a
    hub that is gone does."""
    for item in specs:
        again = partial(make_plan, hub, item.spec, environment, inventory, item.findings)
        try:
            yield DevicePlan(item, again(), again)
        except (Refused, HubError) as error:
            if _is_gone(error):
                raise
            yield DeviceOutcome(item.device_id, "", error)


def digest_of(plans: Iterable[DevicePlan]) -> str:
    """One digest over all devices, for `--expect`."""
    return hashlib.sha256("\n".join(f"{item.device_id} {item.plan.digest}" for item in plans).encode()).hexdigest()


def check_expected_each(plans: Sequence[DevicePlan], expected: str | None) -> None:
    """Refuses when these are not the plans that were shown, unless nothing is left to change on any device."""
    if any(item.plan.changes for item in plans):
        check_digest(digest_of(plans), expected)


def apply_each(
    hub: Hub, plans: Iterable[DevicePlan], operator: Operator, allowed: Mapping[str, int]
) -> Iterator[DeviceOutcome]:
    """Applies one after the other. A device that refuses does not stop the others; a hub that is gone does."""
    for item in plans:
        try:
            check_conflicts(item.plan)
            check_dangers(item.plan, allowed)
            yield DeviceOutcome(item.device_id, apply_plan(hub, item.plan, operator, item.again))
        except InputError as error:
            yield DeviceOutcome(item.device_id, "", Refused(str(error), "look at the findings of its plan"))
        except (Refused, HubError) as error:
            yield DeviceOutcome(item.device_id, "", error)
            if _is_gone(error):
                return


def _is_gone(error: Refused | HubError) -> bool:
    """The hub cannot be used at all, and the next device would fare no better."""
    return isinstance(error, HubError) and (error.is_transient or error.problem is HubProblem.UNAUTHORIZED)

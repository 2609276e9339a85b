"""The lease on a device twin while set modules, which takes no etag, is done: a tag that other operators wait for.

It carries a random token, so that each run knows its own: one that was held up for longer than its lease lasts finds
out before it sends, and takes away no lease but its own. It fences off other runs of edge-expose only.
"""

from __future__ import annotations

import datetime as dt
import math
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edge_expose_cloud.findings.problems import Refused
from edge_expose_cloud.hub.api import Hub, HubError, HubProblem, Json, Twin
from edge_expose_cloud.plan.model import LEASE_TAG
from edge_expose_cloud.usecases.operator import Operator
from edge_expose_contract.merging import same_json

LEASE_SECONDS = 60


@dataclass(slots=True)
class Lease:
    """One that this run took; `body` is the tag as it stands on the hub."""

    hub: Hub
    device_id: str
    operator: Operator
    body: Json

    def hold(self) -> None:
        """Makes sure that it is still this run's, for half of its time at least. Refused when somebody took over."""
        twin = self.hub.device_twin(self.device_id)
        held = twin.tags.get(LEASE_TAG) if twin is not None else None
        if twin is None or not same_json(held, self.body):
            now = f", and {held.get('by', 'somebody')} has it now" if isinstance(held, dict) else ""
            raise Refused(
                f"the lease on {self.device_id} ran out while the hub kept this run waiting{now}",
                "plan again; nothing was sent",
            )
        if _left(self.body, self.operator.now()) < LEASE_SECONDS / 2:
            self.body = _write(self.hub, twin, self.body, self.operator)

    def give_back(self) -> None:
        """Takes the tag away if it is this run's."""
        remove(self.hub, self.device_id, self.body)


def take(hub: Hub, twin: Twin, operator: Operator) -> Lease:
    """Refused while another run holds one."""
    there = twin.tags.get(LEASE_TAG)
    if isinstance(there, dict) and not is_over(there, operator):
        seconds = math.ceil(_left(there, operator.now()))
        raise Refused(
            f"{there.get('by', 'somebody')} is applying to {twin.device_id} since a moment ago",
            f"wait {seconds} seconds and plan again",
        )
    body = {"by": operator.name, "pid": operator.pid, "token": secrets.token_hex(8)}
    return Lease(hub, twin.device_id, operator, _write(hub, twin, body, operator))


def remove(hub: Hub, device_id: str, lease: Mapping[str, Any]) -> None:
    """Takes exactly this lease away, and leaves any other."""
    twin = hub.device_twin(device_id)
    if twin is not None and same_json(twin.tags.get(LEASE_TAG), lease):
        hub.patch_device_tags(device_id, {LEASE_TAG: None}, twin.etag)


def is_over(lease: Mapping[str, Any], operator: Operator) -> bool:
    """It ran out, or is of a run on this machine that is dead: it was killed before it could give it back."""
    if _left(lease, operator.now()) <= 0:
        return True
    pid = lease.get("pid")
    return lease.get("by") == operator.name and isinstance(pid, int) and pid > 0 and not operator.is_alive(pid)


def _write(hub: Hub, twin: Twin, body: Json, operator: Operator) -> Json:
    until = operator.now() + dt.timedelta(seconds=LEASE_SECONDS)
    written = {**body, "until": until.isoformat()}
    try:
        hub.patch_device_tags(twin.device_id, {LEASE_TAG: written}, twin.etag)
    except HubError as error:
        if error.problem is HubProblem.PRECONDITION:
            raise Refused(f"the twin of {twin.device_id} changed while the lease was taken", "plan again") from error
        raise
    return written


def _left(lease: Mapping[str, Any], now: dt.datetime) -> float:
    """Seconds until it runs out; 0 for one that does not say when."""
    try:
        return (dt.datetime.fromisoformat(str(lease.get("until"))) - now).total_seconds()
    except (ValueError, TypeError):
        return 0.0

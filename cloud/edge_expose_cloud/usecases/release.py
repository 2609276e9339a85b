"""Release: confirms the removal that the module holds back, so that the document it was sent is carried out.

The module removes nothing when a document would take much away at once; it reports a token that stands for exactly the
exposures in question, and waits until the twin holds it.
"""

from __future__ import annotations

from edge_expose_cloud.findings.problems import Refused, no_module
from edge_expose_cloud.hub.api import Hub
from edge_expose_cloud.plan.device import current_exposures, report_of
from edge_expose_cloud.plan.model import Danger, Impact, PatchTwin, Plan, twin_change
from edge_expose_cloud.plan.observation import observe_device
from edge_expose_contract.identity import MODULE_ID
from edge_expose_contract.merging import merged


def plan_release(hub: Hub, device_id: str) -> Plan:
    """A plan that writes the token into the twin. Refused when nothing is held back."""
    state = observe_device(hub, device_id).without_change()
    twin = state.ours
    if twin is None:
        raise no_module(device_id)
    report = report_of(twin)
    pending = report.pending_removal
    if pending is None:
        raise Refused(f"device {device_id} holds no removal back", f"edge-expose status {device_id} shows what it does")
    patch = {"confirmRemoval": pending.token}
    if twin.desired.get("confirmRemoval") == pending.token:
        # The token is there already: a device that has not read it yet needs nothing more.
        return Plan(f"device {device_id}", (), None, state.etags())
    status = report.last_desired_status
    declared = {name for name, exposure in current_exposures(twin).items() if exposure.enabled}
    return Plan(
        target=f"device {device_id}",
        changes=(twin_change(device_id, MODULE_ID, twin.desired, merged(twin.desired, patch)),),
        step=PatchTwin(device_id, MODULE_ID, patch, twin.etag),
        etags=state.etags(),
        dangers=(Danger("removals", pending.count, f"{pending.count} exposures that run now are removed"),),
        notes=(f"the device says: {status.description}",) if status is not None and status.description else (),
        impact=tuple(
            Impact("stops", name, f"{name} at {entry.address} stops answering for everyone", entry.address)
            for name, entry in sorted(report.exposures.items())
            if entry.address and name not in declared
        ),
    )

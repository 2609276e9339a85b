"""Export: the spec of what a device runs now, fit to be applied again. Passwords of registries become references.

Values of modules stay as they are, and each place where they stand is named; or they become references as well.
"""

from __future__ import annotations

from edge_expose_cloud.findings.finding import Finding
from edge_expose_cloud.hub.api import Hub, Json
from edge_expose_cloud.manifest.imports.spec import spec_of
from edge_expose_cloud.manifest.imports.values import values_hidden, values_printed
from edge_expose_cloud.plan.observation import observe_device, registered_device
from edge_expose_cloud.spec.names import deployment_name
from edge_expose_contract.identity import MODULE_ID


def export_spec(hub: Hub, device_id: str, *, hide_values: bool = False) -> tuple[Json, list[Finding]]:
    """(spec as plain data, what there is to know of it). `hide_values` puts `${env:NAME}` for each value that may be a
    secret, and leaves desired properties of other modules on the hub."""
    registered_device(hub, device_id)  # a list of modules is refused to an unknown device as if we had no rights
    state = observe_device(hub, device_id, hub.module_ids(device_id))
    content = {
        name: {"properties.desired": twin.desired}
        for name, twin in state.twins.items()
        if twin.desired or name == MODULE_ID  # another twin without desired properties was written by nobody
    }
    content.setdefault("$edgeAgent", {"properties.desired": {}})
    spec, findings = spec_of(content, deployment_name(device_id), {"device": device_id}, references=False)
    findings += values_hidden(spec, desired=False) if hide_values else values_printed(spec)
    return spec, findings

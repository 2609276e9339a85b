"""Export: the spec of what a device runs now. Passwords become references; a page never shows values of env."""

from __future__ import annotations

import re
from typing import Any

from edge_expose_cloud.findings import Finding
from edge_expose_cloud.hub import Hub, Json
from edge_expose_cloud.porting import slug, spec_of
from edge_expose_cloud.redacting import hide_twins
from edge_expose_cloud.usecases.observing import observe_device


def export_spec(hub: Hub, device_id: str, *, hide_values: bool = False) -> tuple[Json, list[Finding]]:
    """(spec as plain data, what it could not take over). `hide_values` puts `${env:NAME}` for every env value."""
    state = observe_device(hub, device_id, hub.module_ids(device_id))
    content = {name: {"properties.desired": twin.desired} for name, twin in state.twins.items()}
    spec, findings = spec_of(content, slug(device_id), {"device": device_id}, references=False)
    if hide_values:
        for body in [*(spec.get("modules") or {}).values(), *(spec.get("runtime") or {}).values()]:
            if isinstance(body, dict):
                _hide(body)
        if "keep" in spec:
            spec["keep"] = hide_twins(spec["keep"])
    return spec, findings


def _hide(module: dict[str, Any]) -> None:
    if isinstance(module.get("env"), dict):
        module["env"] = {name: _reference(name) for name in module["env"]}
    options = module.get("createOptions")
    if isinstance(options, dict) and isinstance(options.get("Env"), list):
        names = [str(entry).partition("=")[0] for entry in options["Env"]]
        module["createOptions"] = {**options, "Env": [f"{name}={_reference(name)}" for name in names]}
    # Another module's own desired properties may hold anything; they stay on the hub.
    module.pop("desired", None)


def _reference(name: str) -> str:
    variable = re.sub(r"[^A-Za-z0-9_]", "_", name)
    return f"${{env:{variable if re.match('[A-Za-z_]', variable) else '_' + variable}}}"

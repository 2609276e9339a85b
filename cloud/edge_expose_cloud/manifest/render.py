"""Renders a spec into a deployment manifest: `{"modulesContent": {...}}`. Pure and byte-stable.

Key ownership: a single-device manifest writes our module's whole `properties.desired`; an automatic deployment
never does, it writes `properties.desired.schemaVersion` and `properties.desired.exposures.<name>`, so that `site` and
other layers survive. Secrets stay `${env:NAME}` unless the spec was resolved before.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from edge_expose_cloud.manifest.driver import with_exposures
from edge_expose_cloud.manifest.encoding import decode_content, encode
from edge_expose_cloud.spec.model import EnvValue, ModuleSpec, Network, Route, Spec, SystemModule, site_of
from edge_expose_contract.addressing import Address
from edge_expose_contract.identity import MODULE_ID, SCHEMA_VERSION
from edge_expose_contract.merging import merged
from edge_expose_contract.models import Exposure

MODULE_IMAGE: Final = "edge-expose/module:1"
AGENT_IMAGE: Final = "mcr.microsoft.com/azureiotedge-agent:1.5"
HUB_IMAGE: Final = "mcr.microsoft.com/azureiotedge-hub:1.5"
_HUB_PORTS: Final = ("443/tcp", "5671/tcp", "8883/tcp")

_DESIRED: Final = "properties.desired"

Content = dict[str, Any]


def render(spec: Spec, held: Mapping[str, Address] | None = None) -> dict[str, Any]:
    """The deployment manifest. `held` matters to `driver: manifest` only: addresses the hub's manifest gives."""
    return {"modulesContent": encode(render_content(spec, held or {}))}


def manifest_text(document: Mapping[str, Any]) -> str:
    """The bytes of a manifest file: two blanks, sorted keys, one newline at the end."""
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def render_content(spec: Spec, held: Mapping[str, Address]) -> Content:
    """The `modulesContent` object alone, in the form in which it is planned: createOptions are objects."""
    options = with_exposures(spec, held) if spec.driver == "manifest" else {}
    modules = {name: _module(module, options.get(name)) for name, module in spec.modules.items()}
    if adds_module(spec):
        modules[MODULE_ID] = _module(ModuleSpec(image=spec.driver_image or MODULE_IMAGE), None)
    routes = {name: _route(entry) for name, entry in spec.routes.items()}
    content = _layer(spec, modules, routes) if spec.target.layered else _base(spec, modules, routes)
    _add_twins(spec, content)
    if spec.driver == "module":
        ours = _ours(spec)
        if ours:
            content[MODULE_ID] = ours
    return decode_content(_with_kept(content, spec.keep)) if spec.keep else content


def _with_kept(content: Content, keep: Mapping[str, Any]) -> Content:
    """What was imported and has no field of its own, laid over what was rendered."""
    for twin, patch in keep.items():
        section = content.get(twin, {})
        content[twin] = merged(section, _patch_of_section(section, patch))
    return content


def _patch_of_section(section: Mapping[str, Any], patch: Mapping[str, Any]) -> Mapping[str, Any]:
    """A patch of the desired properties, in keys of the section: whole, or single ones where it has those."""
    if not patch or names_sections(patch):
        return patch
    if section and _DESIRED not in section:
        return {f"{_DESIRED}.{key}": value for key, value in patch.items()}
    return {_DESIRED: patch}


def names_sections(patch: Mapping[str, Any]) -> bool:
    """Whether the keys of a patch are those of a section: `properties.desired`, `properties.desired.a.b`."""
    return any(key == _DESIRED or key.startswith(f"{_DESIRED}.") for key in patch)


def adds_module(spec: Spec) -> bool:
    """Whether our module is added: with `driver: module`, unless the spec lists it or says addModule: false."""
    return spec.driver == "module" and spec.add_module and MODULE_ID not in spec.modules


def module_desired(spec: Spec) -> dict[str, Any]:
    """The whole `properties.desired` of our module, as set modules writes it."""
    desired: dict[str, Any] = {"schemaVersion": SCHEMA_VERSION, "exposures": exposures_json(spec.exposures)}
    site = site_json(spec)
    if site:
        desired["site"] = site
    return desired


def site_json(spec: Spec) -> dict[str, Any]:
    """The `site` section as written into a twin ({} without a network)."""
    return network_json(spec.network)


def network_json(network: Network | None) -> dict[str, Any]:
    """The part of a network that travels to the module as `site`."""
    site = site_of(network)
    if site is None:
        return {}
    return site.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_unset=True)


def exposures_json(exposures: Mapping[str, Exposure]) -> dict[str, Any]:
    """Exposures by name, only the fields that were written."""
    return {
        name: exposure.model_dump(mode="json", by_alias=True, exclude_unset=True)
        for name, exposure in sorted(exposures.items())
    }


def _ours(spec: Spec) -> dict[str, Any]:
    if spec.target.device is not None:
        return {"properties.desired": module_desired(spec)}
    exposures = exposures_json(spec.exposures)
    if spec.target.layered and not exposures:
        return {}
    keys: dict[str, Any] = {"properties.desired.schemaVersion": SCHEMA_VERSION}
    keys.update({f"properties.desired.exposures.{name}": body for name, body in exposures.items()})
    return keys


def _base(spec: Spec, modules: dict[str, Any], routes: dict[str, Any]) -> Content:
    agent = _system(spec.runtime.edge_agent, AGENT_IMAGE, {})
    hub_options = {"HostConfig": {"PortBindings": {port: [{"HostPort": port.split("/")[0]}] for port in _HUB_PORTS}}}
    hub = {**_system(spec.runtime.edge_hub, HUB_IMAGE, hub_options), "status": "running", "restartPolicy": "always"}
    settings: dict[str, Any] = {"minDockerVersion": "v1.25", "loggingOptions": ""}
    if spec.registries:
        settings["registryCredentials"] = {label: entry.model_dump() for label, entry in spec.registries.items()}
    needs_agent_11 = any(
        {"startupOrder", "imagePullPolicy"} & entry.keys() for entry in (*modules.values(), agent, hub)
    )
    needs_hub_11 = any(isinstance(route, dict) for route in routes.values())
    content = {
        "$edgeAgent": {
            "properties.desired": {
                "schemaVersion": "1.1" if needs_agent_11 else "1.0",
                "runtime": {"type": "docker", "settings": settings},
                "systemModules": {"edgeAgent": agent, "edgeHub": hub},
                "modules": modules,
            }
        },
    }
    if spec.add_edge_hub:
        content["$edgeHub"] = {
            "properties.desired": {
                "schemaVersion": "1.1" if needs_hub_11 else "1.0",
                "routes": routes,
                "storeAndForwardConfiguration": {"timeToLiveSecs": spec.runtime.time_to_live_secs},
            }
        }
    return content


def _layer(spec: Spec, modules: dict[str, Any], routes: dict[str, Any]) -> Content:
    # IoT Hub refuses a layer without $edgeAgent, an empty one is fine.
    agent = {f"properties.desired.modules.{name}": body for name, body in modules.items()}
    for label, entry in spec.registries.items():
        # One key each, beside the registries of the layers below.
        agent[f"properties.desired.runtime.settings.registryCredentials.{label}"] = entry.model_dump()
    content: Content = {"$edgeAgent": agent}
    if routes and spec.add_edge_hub:
        content["$edgeHub"] = {f"properties.desired.routes.{name}": body for name, body in routes.items()}
    return content


def _add_twins(spec: Spec, content: Content) -> None:
    for name, module in spec.modules.items():
        if module.desired is None or name == MODULE_ID:
            continue
        if spec.target.layered:
            content[name] = {f"properties.desired.{key}": value for key, value in module.desired.items()}
        else:
            content[name] = {"properties.desired": module.desired}


def _module(module: ModuleSpec, options: Mapping[str, Any] | None) -> dict[str, Any]:
    create_options = module.create_options if options is None else options
    body: dict[str, Any] = {
        "type": "docker",
        "status": module.status,
        "restartPolicy": module.restart_policy,
        "settings": {"image": module.image, "createOptions": dict(create_options)},
    }
    if module.env:
        body["env"] = _env(module.env)
    if module.version is not None:
        body["version"] = module.version
    if module.image_pull_policy is not None:
        body["imagePullPolicy"] = module.image_pull_policy
    if module.startup_order is not None:
        body["startupOrder"] = module.startup_order
    return body


def _system(module: SystemModule, image: str, options: Mapping[str, Any]) -> dict[str, Any]:
    create_options = options if module.create_options is None else module.create_options
    body: dict[str, Any] = {
        "type": "docker",
        "settings": {"image": module.image or image, "createOptions": dict(create_options)},
    }
    if module.env:
        body["env"] = _env(module.env)
    if module.image_pull_policy is not None:
        body["imagePullPolicy"] = module.image_pull_policy
    return body


def _env(env: Mapping[str, EnvValue]) -> dict[str, Any]:
    return {name: {"value": value} for name, value in env.items()}


def _route(entry: str | Route) -> str | dict[str, Any]:
    return entry if isinstance(entry, str) else entry.model_dump(by_alias=True, exclude_none=True)

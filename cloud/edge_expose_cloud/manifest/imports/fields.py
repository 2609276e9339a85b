"""What of a manifest becomes fields of a spec. Pure.

createOptions are objects by now. Only what is written in the very shape that rendering gives is taken: whole sections
for one device and for a base deployment, single keys for a layer. All else is found when the rendered is compared with
what was there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

from edge_expose_cloud.manifest.imports.meaning import OPTIONS
from edge_expose_cloud.manifest.imports.registries import registry_of
from edge_expose_cloud.manifest.render import AGENT_IMAGE, HUB_IMAGE
from edge_expose_cloud.spec.model import SITE_FIELDS, Runtime, Spec
from edge_expose_cloud.spec.pruning import refused_paths, without
from edge_expose_contract.identity import MODULE_ID
from edge_expose_contract.models import Exposure
from edge_expose_contract.parsing import parse_exposure

Json = dict[str, Any]

DESIRED: Final = "properties.desired"
_CREDENTIALS: Final = "runtime.settings.registryCredentials"
_EXPOSURE_FIELDS: Final = frozenset(field.alias or name for name, field in Exposure.model_fields.items())
_ENV_NAME: Final = re.compile(r"[^+#$\s.]+")
_LABEL: Final = re.compile(r"[^.$# ]+")
_MODULE_FIELDS: Final = {
    "status": "running",
    "restartPolicy": "always",
    "version": None,
    "imagePullPolicy": None,
    "startupOrder": None,
}


def fields_of(content: Mapping[str, Any], name: str, target: Json) -> Json:
    """The spec as plain data, without what it has no fields for."""
    layered = target.get("layered") is True
    agent, hub = _mapping(content.get("$edgeAgent")), _mapping(content.get("$edgeHub"))
    spec: Json = {"schemaVersion": "1.0", "name": name, "target": target}
    spec["driver"] = "module" if MODULE_ID in content else "manifest"
    if layered:
        modules, routes = _entries(agent, "modules"), _entries(hub, "routes")
        credentials = _entries(agent, _CREDENTIALS)
    else:
        desired = _mapping(agent.get(DESIRED))
        settings = _mapping(_mapping(desired.get("runtime")).get("settings"))
        modules, routes = _mapping(desired.get("modules")), _mapping(_mapping(hub.get(DESIRED)).get("routes"))
        credentials = _mapping(settings.get("registryCredentials"))
        spec["runtime"] = _runtime(desired, _mapping(hub.get(DESIRED)))
    spec["registries"] = {
        label: entry
        for label, item in credentials.items()
        if _LABEL.fullmatch(label) and (entry := registry_of(item)) is not None
    }
    spec["modules"] = {
        key: body
        for key, entry in sorted(modules.items())
        if (body := _module(key, entry, _desired(content.get(key), layered))) is not None
    }
    spec["routes"] = dict(routes)
    spec.update(_ours(content, target))
    spec = {key: value for key, value in spec.items() if value != {}}
    if spec["driver"] == "module" and MODULE_ID not in modules:
        spec["addModule"] = False
    if not layered and "$edgeHub" not in content:
        spec["addEdgeHub"] = False
    return _sound(spec)


def model_of(spec: Json) -> Spec:
    """The spec, of fields that are sound."""
    model = Spec.model_validate({key: value for key, value in spec.items() if key != "exposures"})
    exposures = {
        name: exposure
        for name, entry in spec.get("exposures", {}).items()
        if (exposure := parse_exposure(name, entry, unknown_is_error=True)[0]) is not None
    }
    return model.model_copy(update={"exposures": exposures})


def _ours(content: Mapping[str, Any], target: Json) -> Json:
    """Exposures and network, from the document of our module."""
    section = _mapping(content.get(MODULE_ID))
    if "device" not in target:
        return {"exposures": _exposures(_entries(section, "exposures"))}
    desired = _mapping(section.get(DESIRED)) if set(section) == {DESIRED} else {}
    site = {key: value for key, value in _mapping(desired.get("site")).items() if key in SITE_FIELDS}
    return {"network": site, "exposures": _exposures(_mapping(desired.get("exposures")))}


def _exposures(entries: Mapping[str, Any]) -> Json:
    """Exposures that break no rule, with the fields that this version knows."""
    found: Json = {}
    for name, raw in entries.items():
        known = {key: value for key, value in _mapping(raw).items() if key in _EXPOSURE_FIELDS}
        exposure, violations = parse_exposure(name, known, unknown_is_error=True)
        if exposure is not None and not violations:
            found[name] = known
    return found


def _module(name: str, entry: object, desired: Json | None) -> Json | None:
    """None for an entry without an image."""
    body = _common(_mapping(entry))
    if "image" not in body:
        return None
    for field, default in _MODULE_FIELDS.items():
        value = _mapping(entry).get(field, default)
        if value != default:
            body[field] = value
    if desired is not None and name != MODULE_ID:
        body["desired"] = desired
    return body


def _runtime(agent: Mapping[str, Any], hub: Mapping[str, Any]) -> Json:
    runtime: Json = {}
    system = _mapping(agent.get("systemModules"))
    for key, image in (("edgeAgent", AGENT_IMAGE), ("edgeHub", HUB_IMAGE)):
        if isinstance(entry := system.get(key), Mapping):
            # createOptions are written in any case: edgeHub has some by default.
            body = {"image": image, "createOptions": {}, **_common(entry)}
            if entry.get("imagePullPolicy") is not None:
                body["imagePullPolicy"] = entry["imagePullPolicy"]
            runtime[key] = body
    seconds = _mapping(hub.get("storeAndForwardConfiguration")).get("timeToLiveSecs")
    if seconds is not None and seconds != Runtime().time_to_live_secs:
        runtime["timeToLiveSecs"] = seconds
    return runtime


def _common(entry: Mapping[str, Any]) -> Json:
    """Image, createOptions and env of a module of either kind."""
    settings = _mapping(entry.get("settings"))
    body: Json = {}
    if isinstance(image := settings.get("image"), str) and image:
        body["image"] = image
    options = settings.get(OPTIONS)
    options = options if isinstance(options, Mapping) else {}  # else they are text that cannot be read
    env = {
        name: item["value"]
        for name, item in _mapping(entry.get("env")).items()
        if _ENV_NAME.fullmatch(name) and isinstance(item, Mapping) and "value" in item
    }
    return body | ({"createOptions": dict(options)} if options else {}) | ({"env": env} if env else {})


def _desired(section: object, layered: bool) -> Json | None:
    """The desired properties that a manifest writes for a module, where a spec has them in the same shape."""
    found = _mapping(section)
    if layered:
        keys = {key.removeprefix(f"{DESIRED}."): value for key, value in found.items() if key.startswith(f"{DESIRED}.")}
        whole = len(keys) == len(found) and keys and not any("." in key for key in keys)
        return dict(keys) if whole else None
    desired = found.get(DESIRED)
    return dict(desired) if set(found) == {DESIRED} and isinstance(desired, Mapping) else None


def _entries(section: Mapping[str, Any], group: str) -> Mapping[str, Any]:
    """NAME -> value of the keys `properties.desired.<group>.NAME`."""
    prefix = f"{DESIRED}.{group}."
    names = {key.removeprefix(prefix): value for key, value in section.items() if key.startswith(prefix)}
    return {name: value for name, value in names.items() if name and "." not in name}


def _sound(spec: Json) -> Json:
    """Only what the models of a spec take."""
    rest = {key: value for key, value in spec.items() if key != "exposures"}
    try:
        Spec.model_validate(rest)
    except ValidationError as error:
        rest = without(rest, refused_paths(rest, error))
    return {key: rest.get(key, value) for key, value in spec.items() if key in rest or key == "exposures"}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}

"""Back from a manifest (or a live device's twins) to a spec. Pure.

What a spec can say becomes fields; what it cannot say is kept as findings, so that nothing is lost in silence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from edge_expose_cloud.create_options import CreateOptionsError, read_create_options
from edge_expose_cloud.findings import Finding, finding
from edge_expose_cloud.manifest import AGENT_IMAGE, HUB_IMAGE
from edge_expose_cloud.manifest_checking import desired_sections
from edge_expose_contract.identity import MODULE_ID

Json = dict[str, Any]
_MODULE_FIELDS = {"type", "status", "restartPolicy", "settings", "env", "version", "imagePullPolicy", "startupOrder"}


def spec_of(content: Mapping[str, Any], name: str, target: Json) -> tuple[Json, list[Finding]]:
    """(spec as plain data, what it could not take over)."""
    found: list[Finding] = []
    sections = desired_sections(content)
    agent = sections.get("$edgeAgent", {})
    hub = sections.get("$edgeHub", {})
    spec: Json = {"schemaVersion": "1.0", "name": name, "target": target}
    ours = sections.get(MODULE_ID)
    spec["driver"] = "module" if ours is not None else "manifest"
    if ours is not None and ours.get("site"):
        spec["network"] = ours["site"]
    registries = _registries(agent, found)
    if registries:
        spec["registries"] = registries
    runtime = _runtime(agent, hub, found)
    if runtime:
        spec["runtime"] = runtime
    spec["modules"] = {
        key: _module(key, entry, sections.get(key), found)
        for key, entry in sorted((agent.get("modules") or {}).items())
        if isinstance(entry, Mapping)
    }
    if not spec["modules"]:
        del spec["modules"]
    if ours is not None and MODULE_ID not in (agent.get("modules") or {}):
        spec["addModule"] = False
    if hub.get("routes"):
        spec["routes"] = hub["routes"]
    if ours is not None and ours.get("exposures"):
        spec["exposures"] = ours["exposures"]
    known = {"$edgeAgent", "$edgeHub", MODULE_ID, *(agent.get("modules") or {})}
    found += [_lost(key, f"twin of {key}, which is no module of this manifest") for key in content if key not in known]
    return spec, found


def _module(name: str, entry: Mapping[str, Any], desired: Json | None, found: list[Finding]) -> Json:
    path = f"$edgeAgent.properties.desired.modules.{name}"
    settings = entry.get("settings") if isinstance(entry.get("settings"), Mapping) else {}
    body: Json = {"image": str((settings or {}).get("image", ""))}
    options = _options(settings or {}, path, found)
    if options:
        body["createOptions"] = options
    env = _env(entry.get("env"))
    if env:
        body["env"] = env
    for field, default in (
        ("status", "running"),
        ("restartPolicy", "always"),
        ("version", None),
        ("imagePullPolicy", None),
        ("startupOrder", None),
    ):
        value = entry.get(field, default)
        if value != default:
            body[field] = value
    if desired and name != MODULE_ID:
        body["desired"] = desired
    found += [_lost(f"{path}.{key}", f"key {key}") for key in entry if key not in _MODULE_FIELDS]
    return body


def _options(settings: Mapping[str, Any], path: str, found: list[Finding]) -> Json:
    try:
        return read_create_options(settings)
    except CreateOptionsError as error:
        found.append(finding("CreateOptionsForm", f"{path}.settings", error.problem))
        return {}


def _env(env: object) -> Json:
    if not isinstance(env, Mapping):
        return {}
    return {key: value["value"] for key, value in env.items() if isinstance(value, Mapping) and "value" in value}


def _registries(agent: Json, found: list[Finding]) -> Json:
    settings = (agent.get("runtime") or {}).get("settings") or {}
    result: Json = {}
    for label, entry in (settings.get("registryCredentials") or {}).items():
        variable = re.sub(r"[^A-Z0-9]+", "_", label.upper()).strip("_") + "_PASSWORD"
        if not re.match(r"[A-Z_]", variable):
            variable = f"_{variable}"
        password = str(entry.get("password", ""))
        reference = password if re.fullmatch(r"\$\{env:[A-Za-z_][A-Za-z0-9_]*\}", password) else f"${{env:{variable}}}"
        result[label] = {
            "address": entry.get("address", ""),
            "username": entry.get("username", ""),
            "password": reference,
        }
        if reference != password:
            found.append(
                finding(
                    "SecretInClear",
                    f"registries.{label}.password",
                    f"the password became a reference: set {variable} before applying",
                    severity="info",
                )
            )
    return result


def _runtime(agent: Json, hub: Json, found: list[Finding]) -> Json:
    runtime: Json = {}
    for key, image in (("edgeAgent", AGENT_IMAGE), ("edgeHub", HUB_IMAGE)):
        entry = (agent.get("systemModules") or {}).get(key)
        if not isinstance(entry, Mapping):
            continue
        settings = entry.get("settings") or {}
        body: Json = {"image": settings.get("image", image)}
        body["createOptions"] = _options(settings, f"$edgeAgent.properties.desired.systemModules.{key}", found)
        env = _env(entry.get("env"))
        if env:
            body["env"] = env
        if entry.get("imagePullPolicy"):
            body["imagePullPolicy"] = entry["imagePullPolicy"]
        runtime[key] = body
    store = hub.get("storeAndForwardConfiguration") or {}
    if store.get("timeToLiveSecs", 7200) != 7200:
        runtime["timeToLiveSecs"] = store["timeToLiveSecs"]
    return runtime


def _lost(path: str, what: str) -> Finding:
    return finding("ImportLost", path, f"{what} has no place in a spec")

"""Back from a manifest (or a live device's twins) to a spec. Pure.

What a spec can say becomes fields; what it cannot say is kept in `keep`, so that rendering gives the manifest back.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from edge_expose_cloud.findings.finding import Finding, finding
from edge_expose_cloud.hub.authorship import content_without_change
from edge_expose_cloud.iotedge.create_options import CreateOptionsError, read_create_options, write_create_options
from edge_expose_cloud.manifest.checks import desired_sections, is_layered
from edge_expose_cloud.manifest.content import ManifestDocument
from edge_expose_cloud.manifest.render import AGENT_IMAGE, HUB_IMAGE, is_dotted, render_content
from edge_expose_cloud.spec.model import Spec
from edge_expose_cloud.spec.pruning import refused_paths, without
from edge_expose_cloud.spec.variables import map_texts
from edge_expose_contract.identity import MODULE_ID
from edge_expose_contract.merging import merge_patch
from edge_expose_contract.models import Exposure
from edge_expose_contract.parsing import parse_exposure
from edge_expose_contract.violations import RuleError

Json = dict[str, Any]

EXPOSURE_FIELDS = frozenset(field.alias or name for name, field in Exposure.model_fields.items())
_REFERENCE = re.compile(r"\$\{(env:[A-Za-z_][A-Za-z0-9_]*\})?")


def slug(text: str) -> str:
    """A name that a spec may have."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "imported"


def spec_of(
    content: Mapping[str, Any], name: str, target: Json, *, references: bool = True
) -> tuple[Json, list[Finding]]:
    """(spec as plain data, what it could not take over). `references`: `${env:NAME}` stays one, as in what `render`
    prints; on a live device it is text like any other."""
    found: list[Finding] = []
    content = content_without_change(content)
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
    if MODULE_ID not in (agent.get("modules") or {}) and spec["driver"] == "module":
        spec["addModule"] = False
    if hub.get("routes"):
        spec["routes"] = hub["routes"]
    if ours is not None and ours.get("exposures"):
        spec["exposures"] = ours["exposures"]
    spec = _sound(spec)
    keep = _kept(spec, content, found)
    if keep:
        spec["keep"] = keep
    return {key: _escaped(value, references, key, found) for key, value in spec.items()}, found


def spec_of_manifest(document: ManifestDocument, name: str, device: str) -> tuple[Json, list[Finding]]:
    """The same for a manifest file: one device's, or that of an automatic deployment with what stands around it."""
    around = document.deployment
    target, found = _target(document, device)
    spec, more = spec_of(document.content, str(around.get("id") or "") or name, target)
    labels = around.get("labels")
    if isinstance(labels, Mapping) and labels:
        spec["labels"] = {str(key): str(value) for key, value in labels.items()}
    if any((around.get("metrics") or {}).values()):
        found.append(_lost("metrics", "a metric query (apply writes its own)"))
    return spec, [*found, *more]


def _target(document: ManifestDocument, device: str) -> tuple[Json, list[Finding]]:
    condition, priority = document.deployment.get("targetCondition"), document.deployment.get("priority")
    layered = is_layered(document.content)
    if not condition and not layered:
        return {"device": device}, []
    target: Json = {"condition": str(condition or f"deviceId='{device}'")}
    target["priority"] = priority if isinstance(priority, int) else 10
    if layered:
        target["layered"] = True
    text = f"a layer needs a target condition, and this manifest says none; the spec says {target['condition']}"
    return target, [] if condition else [finding("ImportTarget", "target.condition", text)]


def _sound(spec: Json) -> Json:
    """Only what the models of a spec take; the rest is found again when the rendered is compared with what was."""
    exposures = spec.get("exposures")
    if isinstance(exposures, Mapping):
        sound = {name: entry for name, raw in exposures.items() if (entry := _sound_exposure(name, raw)) is not None}
        spec = {**spec, "exposures": sound}
    rest = {key: value for key, value in spec.items() if key != "exposures"}
    try:
        Spec.model_validate(rest)
    except ValidationError as error:
        rest = without(rest, refused_paths(rest, error))
    return {key: rest.get(key, value) for key, value in spec.items() if key in rest or key == "exposures"}


def _sound_exposure(name: str, raw: object) -> Json | None:
    """The fields that this version knows; None for an exposure that breaks a rule."""
    if not isinstance(raw, Mapping):
        return None
    known = {key: value for key, value in raw.items() if key in EXPOSURE_FIELDS}
    exposure, violations = parse_exposure(name, known, unknown_is_error=True)
    return known if exposure is not None and not violations else None


def _escaped(value: Any, references: bool, section: str, found: list[Finding]) -> Any:
    """`${` of the manifest is text, and a spec would fill it in: `$${` says that it is text."""
    if section == "registries":  # their passwords are references by now
        return value

    def escape(match: re.Match[str]) -> str:
        if references and match[1] is not None:
            found.append(finding("ImportReference", section, f"{match[0]} stays a reference to a secret"))
            return match[0]
        return f"$${{{match[0][2:]}"

    return map_texts(value, lambda text: _REFERENCE.sub(escape, text))


def _kept(spec: Json, content: Mapping[str, Any], found: list[Finding]) -> Json:
    """By twin, what rendering the spec would not give back: a merge patch from the rendered to what was there."""
    try:
        model = Spec.model_validate({key: value for key, value in spec.items() if key != "exposures"})
        exposures = {
            name: exposure
            for name, entry in (spec.get("exposures") or {}).items()
            if (exposure := parse_exposure(name, entry, unknown_is_error=True)[0]) is not None
        }
        rendered = render_content(model.model_copy(update={"exposures": exposures}), {})
    except (ValidationError, CreateOptionsError, RuleError) as error:
        # What the spec says is wrong somewhere: validate names it, and nothing can be compared with it.
        text = str(error).split("\n", 1)[0]
        found.append(_lost("", f"what is beside the fields of a spec (the spec cannot be rendered: {text})"))
        return {}
    keep: Json = {}
    for twin, section in content.items():
        if not isinstance(section, Mapping):
            continue
        if is_dotted(rendered.get(twin, section)):
            patch = merge_patch(_comparable(rendered.get(twin, {})), _comparable(section))
        else:
            before = desired_sections({twin: rendered.get(twin, {})})[twin]
            patch = merge_patch(_comparable(before), _comparable(desired_sections({twin: section})[twin]))
        if patch:  # a module's twin without desired properties needs no word
            keep[twin] = patch
            found.append(
                finding("ImportKept", f"keep.{twin}", f"{', '.join(_paths(patch)[:4]) or 'the twin'} of {twin}")
            )
    return keep


def _comparable(value: Any) -> Any:
    """createOptions as one field, whatever way they were chunked and written; registry passwords as one word."""
    if not isinstance(value, Mapping):
        return value
    body = dict(value)
    if any(key.lower().startswith("createoptions") for key in body) and "image" in body:
        try:
            options = read_create_options(body)
        except CreateOptionsError:
            return body
        body = {key: item for key, item in body.items() if not key.lower().startswith("createoptions")}
        body.update(write_create_options(options))
    return {
        key: {
            label: {**entry, "password": "***"} if isinstance(entry, Mapping) else entry
            for label, entry in item.items()
        }
        if key == "registryCredentials" and isinstance(item, Mapping)
        else _comparable(item)
        for key, item in body.items()
    }


def _paths(patch: Json, prefix: str = "") -> list[str]:
    found = []
    for key, value in patch.items():
        path = f"{prefix}.{key}" if prefix else key
        found += _paths(value, path) if isinstance(value, dict) and value else [path]
    return found


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
    credentials = settings.get("registryCredentials")
    result: Json = {}
    taken: set[str] = set()
    for label, entry in (credentials if isinstance(credentials, Mapping) else {}).items():
        if not isinstance(entry, Mapping):
            continue  # kept as it was, like all that is no credential
        password = str(entry.get("password", ""))
        reference = password if re.fullmatch(r"\$\{env:[A-Za-z_][A-Za-z0-9_]*\}", password) else ""
        if not reference:
            variable = _variable(label, taken)
            reference = f"${{env:{variable}}}"
            path = f"registries.{label}.password"
            text = f"the password became a reference: set {variable} before applying"
            found.append(finding("SecretInClear", path, text, severity="info"))
        result[label] = {
            "address": entry.get("address", ""),
            "username": entry.get("username", ""),
            "password": reference,
        }
    return result


def _variable(label: str, taken: set[str]) -> str:
    """An environment variable for the password of a registry, another for each."""
    base = re.sub(r"[^A-Z0-9]+", "_", label.upper()).strip("_") + "_PASSWORD"
    base = base if re.match(r"[A-Z_]", base) else f"_{base}"
    variable = next(name for n in itertools.count(1) if (name := base if n == 1 else f"{base}_{n}") not in taken)
    taken.add(variable)
    return variable


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

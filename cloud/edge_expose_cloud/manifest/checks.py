"""Checks a deployment manifest: what `az` refuses, what IoT Hub refuses, what a twin cannot hold. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft7Validator
from jsonschema.exceptions import ValidationError

from edge_expose_cloud.findings.finding import Finding, finding, in_reading_order
from edge_expose_cloud.findings.from_contract import finding_of, findings_of
from edge_expose_cloud.iotedge.create_options import CreateOptionsError, read_create_options
from edge_expose_cloud.iotedge.edge_agent import modules_of
from edge_expose_cloud.iotedge.routes import check_route
from edge_expose_cloud.manifest.content import ManifestDocument
from edge_expose_cloud.manifest.schemas import AGENT_VERSIONS, HUB_VERSIONS, edge_agent_schema, edge_hub_schema
from edge_expose_contract.identity import MODULE_ID
from edge_expose_contract.limits import SECTION_BYTES, section_size, twin_violations
from edge_expose_contract.parsing import Refusal, parse_desired
from edge_expose_contract.violations import dotted, shown

_DESIRED = "properties.desired"
_KNOWN_AGENT = re.compile(r"1\.[01](\.[0-9]+)?")
_KNOWN_HUB = re.compile(r"1\.[0-3](\.[0-9]+)?")
_BUDGET = 0.8


@dataclass(frozen=True, slots=True)
class Budget:
    """How much of the 32 KB of one module twin a manifest uses."""

    module: str
    bytes: int
    limit: int = SECTION_BYTES

    @property
    def percent(self) -> int:
        return round(100 * self.bytes / self.limit)


def check_manifest(document: ManifestDocument) -> list[Finding]:
    """Every finding, paths counted from the whole document."""
    content = document.content
    found = list(_hub_rules(content))
    if not is_layered(content):
        found += _schemas(content, document.is_template)
    if not document.is_template:
        found += _create_options(content)
        found += _twins(content)
        found += _ours(content)
    found += _routes(content)
    return in_reading_order(document.warnings + [_at(item, document) for item in found])


def is_layered(content: Mapping[str, Any]) -> bool:
    """A layer sets single keys of `$edgeAgent` (or none), never its whole desired section."""
    agent = content.get("$edgeAgent")
    return isinstance(agent, Mapping) and _DESIRED not in agent


def desired_sections(content: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Module -> the desired section this manifest writes, dotted keys opened up."""
    found: dict[str, dict[str, Any]] = {}
    for module, section in content.items():
        if not isinstance(section, Mapping):
            continue
        whole = section.get(_DESIRED)
        desired: dict[str, Any] = dict(whole) if isinstance(whole, Mapping) else {}
        for key, value in section.items():
            if key.startswith(_DESIRED + "."):
                _put(desired, key.removeprefix(_DESIRED + ".").split("."), value)
        found[module] = desired
    return found


def budgets(content: Mapping[str, Any]) -> list[Budget]:
    """The meter of each module twin, fullest first."""
    meters = [Budget(module, section_size(desired)) for module, desired in desired_sections(content).items()]
    return sorted(meters, key=lambda meter: (-meter.bytes, meter.module))


def _put(node: dict[str, Any], keys: list[str], value: Any) -> None:
    for key in keys[:-1]:
        child = node.get(key)
        node[key] = dict(child) if isinstance(child, Mapping) else {}
        node = node[key]
    node[keys[-1]] = value


def _at(item: Finding, document: ManifestDocument) -> Finding:
    return Finding(item.rule, item.severity, document.path(item.path), item.message, item.hint)


def _hub_rules(content: Mapping[str, Any]) -> Iterator[Finding]:
    if "$edgeAgent" not in content:
        yield finding(
            "ManifestForm", "", "$edgeAgent is missing", hint='IoT Hub refuses it; a layer may carry "$edgeAgent": {}.'
        )
    layered = is_layered(content)
    for module, section in content.items():
        if not isinstance(section, Mapping):
            yield finding("ManifestForm", module, f"the section of {shown(module)} is {shown(section)}, not an object")
            continue
        for key, value in section.items():
            if key != _DESIRED and not key.startswith(_DESIRED + "."):
                yield finding(
                    "ManifestContentKey", f"{module}.{key}", f"{shown(key)} is neither {_DESIRED} nor {_DESIRED}.<path>"
                )
            elif key == _DESIRED and not isinstance(value, Mapping):
                yield finding("ManifestForm", f"{module}.{key}", f"{_DESIRED} is {shown(value)}, not an object")
            elif layered and module == "$edgeAgent" and not key.startswith(f"{_DESIRED}.modules."):
                yield finding("ManifestLayerKey", f"{module}.{key}", f"a layer sets {_DESIRED}.modules.NAME only")
            elif layered and module == "$edgeHub" and key != _DESIRED and not key.startswith(f"{_DESIRED}.routes."):
                yield finding("ManifestLayerKey", f"{module}.{key}", f"a layer sets {_DESIRED}.routes.NAME only")
    names = [name for name, _, path in modules_of(content) if ".systemModules." not in path]
    if len(set(names)) + 2 > 50:
        yield finding(
            "ModuleCount", "$edgeAgent", f"{len(set(names))} modules and the two system modules are more than 50"
        )


def _schemas(content: Mapping[str, Any], template: bool) -> Iterator[Finding]:
    for section, known, versions, make in (
        ("$edgeAgent", _KNOWN_AGENT, AGENT_VERSIONS, edge_agent_schema),
        ("$edgeHub", _KNOWN_HUB, HUB_VERSIONS, edge_hub_schema),
    ):
        body = content.get(section)
        desired = body.get(_DESIRED) if isinstance(body, Mapping) else None
        if not isinstance(desired, Mapping):
            continue
        path = f"{section}.{_DESIRED}.schemaVersion"
        version = desired.get("schemaVersion")
        if version is None:
            # az would let it pass unseen; edgeAgent and edgeHub refuse it on the device.
            yield finding("ManifestAgentVersion", path, f"{section} has no schemaVersion")
            continue
        if not isinstance(version, str) or not known.fullmatch(version):
            yield finding(
                "ManifestAgentVersion",
                path,
                f"schemaVersion {shown(version)} is not read by {section.removeprefix('$')}",
            )
            continue
        if version not in versions:
            yield finding(
                "ManifestUnchecked", path, f"no schema for version {version}: {section} was not checked field by field"
            )
            continue
        for error in Draft7Validator(make(version)).iter_errors({section: body}):
            yield from _schema_finding(error, template)


def _schema_finding(error: ValidationError, template: bool) -> Iterator[Finding]:
    location = list(error.absolute_path)
    wanted: Any = error.validator_value
    got: Any = error.instance
    last = str(location[-1]) if location else ""
    if template and (
        last.lower().startswith("createoptions") or (isinstance(error.instance, str) and "${" in error.instance)
    ):
        return
    path = dotted(location)
    match error.validator:
        case "required":
            missing = [name for name in wanted if name not in got]
            message = f"{', '.join(missing)} missing" if missing else error.message
        case "additionalProperties":
            extra = _extra_keys(error)
            for key in extra:
                yield finding("ManifestSchema", f"{path}.{key}" if path else key, f"{shown(key)} is not allowed here")
            return
        case "enum":
            message = f"{shown(error.instance)} is not one of {', '.join(map(str, wanted))}"
        case "type":
            message = f"{shown(error.instance)} is not of type {error.validator_value}"
        case "anyOf":
            message = f"{shown(error.instance)} is neither a text nor an object with route, priority, timeToLiveSecs"
        case "pattern":
            message = f"{shown(error.instance)} does not match {error.validator_value}"
        case _:
            message = error.message if len(error.message) < 200 else f"fails {error.validator}"
    if "password" in path.lower():
        message = f"the value fails {error.validator}"
    yield finding("ManifestSchema", path, message)


def _extra_keys(error: ValidationError) -> list[str]:
    schema: Mapping[str, Any] = error.schema if isinstance(error.schema, Mapping) else {}
    instance: Any = error.instance
    known = set(schema.get("properties", {}))
    patterns = list(schema.get("patternProperties", {}))
    return [key for key in instance if key not in known and not any(re.search(pattern, key) for pattern in patterns)]


def _create_options(content: Mapping[str, Any]) -> Iterator[Finding]:
    for _, entry, path in modules_of(content):
        settings = entry.get("settings")
        if not isinstance(settings, Mapping):
            continue
        try:
            read_create_options(settings)
        except CreateOptionsError as error:
            yield finding("CreateOptionsForm", f"{path}.settings.createOptions", error.problem)
        fields = [name for name in settings if name.lower().startswith("createoptions")]
        if len(fields) > 8:
            yield finding("CreateOptionsChunks", f"{path}.settings", f"createOptions take {len(fields)} fields")


def _twins(content: Mapping[str, Any]) -> Iterator[Finding]:
    for module, desired in desired_sections(content).items():
        prefix = f"{module}.{_DESIRED}"
        for violation in twin_violations(desired):
            yield finding_of(violation.under(prefix))
    for meter in budgets(content):
        if _BUDGET * meter.limit < meter.bytes <= meter.limit:
            yield finding("TwinBudget", meter.module, f"{meter.bytes} of {meter.limit} bytes used ({meter.percent} %)")


def _ours(content: Mapping[str, Any]) -> Iterator[Finding]:
    section = content.get(MODULE_ID)
    if not isinstance(section, Mapping):
        return
    desired = desired_sections(content)[MODULE_ID]
    if "exposures" not in desired and _DESIRED not in section:
        return
    parsed = parse_desired(desired, unknown_is_error=True)
    prefix = f"{MODULE_ID}.{_DESIRED}"
    if isinstance(parsed, Refusal):
        yield finding(
            "ManifestForm", prefix, parsed.description, hint="The module would refuse this document and keep what runs."
        )
        return
    for violations in (*parsed.invalid.values(), parsed.site_violations):
        yield from findings_of(violation.under(prefix) for violation in violations)
    yield from findings_of((violation.under(prefix) for violation in parsed.warnings), severity="warning")


def _routes(content: Mapping[str, Any]) -> Iterator[Finding]:
    hub = desired_sections(content).get("$edgeHub", {})
    routes = hub.get("routes")
    if not isinstance(routes, Mapping):
        return
    for name, entry in routes.items():
        text = entry.get("route") if isinstance(entry, Mapping) else entry
        if isinstance(text, str) and "${" not in text:
            problem = check_route(text)
            if problem is not None:
                yield finding("RouteSyntax", f"$edgeHub.{_DESIRED}.routes.{name}", problem)

"""Checks a deployment manifest: what `az` refuses, what IoT Hub refuses, what a twin cannot hold. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from edge_expose_cloud.findings.finding import Finding, finding, in_reading_order
from edge_expose_cloud.findings.from_contract import finding_of, findings_of
from edge_expose_cloud.iotedge.create_options import CreateOptionsError, read_create_options
from edge_expose_cloud.iotedge.edge_agent import modules_of
from edge_expose_cloud.manifest.content import ManifestDocument
from edge_expose_cloud.spec.checks.routes import check_route_text
from edge_expose_contract.identity import MODULE_ID
from edge_expose_contract.limits import SECTION_BYTES, section_size, twin_violations
from edge_expose_contract.parsing import Refusal, parse_desired
from edge_expose_contract.violations import shown

_DESIRED = "properties.desired"
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


def check_manifest(document: ManifestDocument, *, by_schema: bool = True) -> list[Finding]:
    """Every finding, paths counted from the whole document. `by_schema` is False where it is known that the schemas
    refuse nothing: what reads them takes longer to load than all other checks together."""
    content = document.content
    found = list(_hub_rules(content))
    if by_schema and not is_layered(content):
        from edge_expose_cloud.manifest.schema_checks import check_schemas

        found += check_schemas(content, document.is_template or document.later)
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
            elif layered:
                yield from _layer_key(module, key)
    names = [name for name, _, path in modules_of(content) if ".systemModules." not in path]
    if len(set(names)) + 2 > 50:
        yield finding(
            "ModuleCount", "$edgeAgent", f"{len(set(names))} modules and the two system modules are more than 50"
        )


def _layer_key(module: str, key: str) -> Iterator[Finding]:
    """What a layer should not set; a key that is set whole takes away what the layers below it set there."""
    path = f"{module}.{key}"
    match module, key.removeprefix(_DESIRED).split(".")[1:]:
        case "$edgeAgent", ["modules"] | ["systemModules", *_]:
            yield finding("ManifestLayerKey", path, f"a layer sets {_DESIRED}.modules.NAME only")
        case "$edgeAgent", ["modules", *_] | ["runtime", "settings", "registryCredentials", _, *_]:
            return
        case "$edgeHub", ["routes", _, *_]:
            return
        case "$edgeAgent" | "$edgeHub", _:
            yield finding("ManifestLayerWide", path, f"{key} replaces all that the layers below set there")


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
            yield from check_route_text(text, f"$edgeHub.{_DESIRED}.routes.{name}")

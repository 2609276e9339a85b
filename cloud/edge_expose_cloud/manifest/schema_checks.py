"""Checks `$edgeAgent` and `$edgeHub` of a manifest by the schemas that `az iot edge` uses. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from jsonschema import Draft7Validator
from jsonschema.exceptions import ValidationError

from edge_expose_cloud.findings.finding import Finding, finding
from edge_expose_cloud.manifest.schemas import AGENT_VERSIONS, HUB_VERSIONS, edge_agent_schema, edge_hub_schema
from edge_expose_contract.violations import dotted, shown

_DESIRED: Final = "properties.desired"
_KNOWN_AGENT: Final = re.compile(r"1\.[01](\.[0-9]+)?")
_KNOWN_HUB: Final = re.compile(r"1\.[0-3](\.[0-9]+)?")


def check_schemas(content: Mapping[str, Any], template: bool) -> Iterator[Finding]:
    """What `az iot edge` refuses in `$edgeAgent` and `$edgeHub`, field by field."""
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
        if template and isinstance(version, str) and "${" in version:
            text = f"schemaVersion is filled in later: {section} was not checked field by field"
            yield finding("ManifestUnchecked", path, text, hint="Validate the manifest that the template gives.")
            continue
        if not isinstance(version, str) or not known.fullmatch(version):
            text = f"schemaVersion {shown(version)} is not read by {section.removeprefix('$')}"
            hint = None if isinstance(version, str) else f'Write it in quotes: "{version}".'
            yield finding("ManifestAgentVersion", path, text, hint=hint)
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

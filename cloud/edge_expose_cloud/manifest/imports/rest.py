"""What of a manifest a spec has no fields for: `keep`, and what rendering does not give back even so. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_expose_cloud.findings.finding import Finding, finding
from edge_expose_cloud.hub.authorship import content_without_change
from edge_expose_cloud.iotedge.create_options import compact_json
from edge_expose_cloud.manifest.imports.fields import DESIRED
from edge_expose_cloud.manifest.imports.meaning import OPTIONS, differences, spelled_as
from edge_expose_cloud.manifest.render import names_sections, render_content
from edge_expose_cloud.spec.model import Spec
from edge_expose_contract.identity import MODULE_ID
from edge_expose_contract.merging import merge_patch
from edge_expose_contract.violations import shown

Json = dict[str, Any]

_NAMED = 4  # paths told of each twin


def sound_content(content: Mapping[str, Any]) -> tuple[Json, list[Finding]]:
    """The sections and keys that IoT Hub takes, without who wrote our module's document; and what was left out."""
    found: list[Finding] = []
    if "$edgeAgent" not in content:
        text = "$edgeAgent is missing, which IoT Hub refuses; the spec renders one"
        found.append(finding("ImportForm", "$edgeAgent", text))
    sound: Json = {}
    for twin, section in content.items():
        if not isinstance(section, Mapping):
            found.append(finding("ImportForm", twin, f"the section is {_kind(section)}, not an object"))
            continue
        sound[twin] = dict(section)
        for key, value in section.items():
            if key == DESIRED and not isinstance(value, Mapping):
                found.append(finding("ImportForm", f"{twin}.{key}", f"the value is {_kind(value)}, not an object"))
            elif key == DESIRED or (key.startswith(f"{DESIRED}.") and key != f"{DESIRED}."):
                continue
            else:
                found.append(finding("ImportForm", f"{twin}.{key}", f"{shown(key)} is no key of {DESIRED}"))
            del sound[twin][key]
    plain = content_without_change(sound)
    if plain.get(MODULE_ID) != sound.get(MODULE_ID):
        found.append(finding("ImportChange", f"{MODULE_ID}.{DESIRED}.change", "who wrote the document is left out"))
    return plain, found


def rest_of(model: Spec, wanted: Mapping[str, Any]) -> Json:
    """`keep`: by twin, a merge patch from what the spec renders to what was there."""
    rendered = render_content(model, {})
    keep: Json = {}
    for twin, section in wanted.items():
        before = spelled_as(rendered.get(twin, {}), section)
        patch = _effective(_with_nulls(merge_patch(before, section)), before)
        if patch or twin not in rendered:
            keep[twin] = _shortened(patch, before)
    return keep


def told_of(keep: Mapping[str, Any]) -> list[Finding]:
    """What is kept, by twin."""
    return [
        finding("ImportKept", f"keep.{twin}", f"{_some(_paths(patch)) or 'the twin'} of {twin}")
        for twin, patch in keep.items()
    ]


def lost_of(model: Spec, wanted: Mapping[str, Any]) -> list[Finding]:
    """What rendering the spec, with all that is kept, does not give back."""
    found = []
    left = differences(render_content(model, {}), wanted)
    for rule, what in (("ImportNull", True), ("ImportLost", False)):
        paths = sorted(item.path for item in left if item.null is what and item.path != "$edgeAgent")
        if paths:
            found.append(finding(rule, "", f"not in the spec: {_some(paths)}"))
    return found


def _with_nulls(value: Any) -> Any:
    """A patch cannot hold the null of an object: createOptions with one are written as text."""
    if not isinstance(value, Mapping):
        return value
    return {
        key: compact_json(item)
        if key == OPTIONS and isinstance(item, Mapping) and _holds_null(item)
        else _with_nulls(item)
        for key, item in value.items()
    }


def _holds_null(value: Any) -> bool:
    return value is None or (isinstance(value, Mapping) and any(map(_holds_null, value.values())))


def _shortened(patch: Json, before: Mapping[str, Any]) -> Json:
    """A patch of the whole desired section is written as the patch of what it holds."""
    inner = patch.get(DESIRED)
    short = set(patch) == {DESIRED} and isinstance(inner, dict) and inner and not names_sections(inner)
    return inner if short and inner and (not before or DESIRED in before) else patch


def _effective(patch: Mapping[str, Any], before: Mapping[str, Any]) -> Json:
    """The patch without keys that it would take away where there are none."""
    found: Json = {}
    for key, value in patch.items():
        old = before.get(key)
        if value is None and key not in before:
            continue
        inner = _effective(value, old if isinstance(old, Mapping) else {}) if isinstance(value, Mapping) else value
        if inner != {} or value == {} or not isinstance(old, Mapping):
            found[key] = inner
    return found


def _paths(patch: Mapping[str, Any], prefix: str = "") -> list[str]:
    found = []
    for key, value in patch.items():
        path = f"{prefix}.{key}" if prefix else key
        found += _paths(value, path) if isinstance(value, Mapping) and value else [path]
    return found


def _some(paths: list[str]) -> str:
    more = [f"and {len(paths) - _NAMED} more"] if len(paths) > _NAMED else []
    return ", ".join([*paths[:_NAMED], *more])


def _kind(value: object) -> str:
    """What a value is, without the value: it may be a secret."""
    names = {str: "a text", bool: "true or false", int: "a number", float: "a number", list: "a list"}
    return names.get(type(value), "null")

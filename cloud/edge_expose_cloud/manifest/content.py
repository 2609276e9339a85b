"""Finds the modules content inside a deployment manifest document, whichever way it is wrapped. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from edge_expose_cloud.findings.finding import Finding, finding
from edge_expose_contract.violations import shown

_CONTENT: Final = ("modulesContent", "moduleContent")
_DEPLOYMENT: Final = ("id", "targetCondition", "priority", "labels")
_TEMPLATE: Final = ("$schema-template", "$schema")


@dataclass(frozen=True, slots=True)
class ManifestDocument:
    """`content` maps module ids to their sections; `prefix` is its path in the document.

    `is_template`: a solution template with `$schema-template`, whose `${...}` are filled by other tools. `later`:
    such a template made of a spec, complete but for single values. `deployment`: what stands around the content in an
    automatic deployment: its id, target condition, priority, labels. `around`: the names of all else that stands there
    and is not empty.
    """

    content: dict[str, Any]
    prefix: str
    is_template: bool = False
    warnings: list[Finding] = field(default_factory=list)
    deployment: Mapping[str, Any] = field(default_factory=dict)
    around: tuple[str, ...] = ()
    later: bool = False

    def path(self, inner: str) -> str:
        return f"{self.prefix}.{inner}" if self.prefix and inner else self.prefix or inner


def looks_like_manifest(data: object) -> bool:
    """True for a document that is a deployment manifest rather than a spec."""
    if not isinstance(data, Mapping):
        return False
    return any(key in data for key in (*_CONTENT, "content", "$edgeAgent", "$edgeHub"))


def read_manifest(data: object) -> ManifestDocument | Finding:
    """`modulesContent`, `content.modulesContent`, the old `moduleContent`, or the bare content."""
    if not isinstance(data, Mapping):
        return finding("ManifestForm", "", f"the document is {shown(data)}, not an object")
    outer, prefix = data, ""
    inner = data.get("content")
    if isinstance(inner, Mapping) and any(key in inner for key in _CONTENT):
        outer, prefix = inner, "content"
    template = _TEMPLATE[0] in data or _TEMPLATE[0] in outer
    for key in _CONTENT:
        if key not in outer:
            continue
        place = f"{prefix}.{key}" if prefix else key
        content = outer[key]
        if not isinstance(content, Mapping):
            return finding("ManifestForm", place, f"{key} is {shown(content)}, not an object")
        text = "moduleContent is read as modulesContent"
        warnings = [finding("ManifestLegacy", place, text)] if key == "moduleContent" else []
        known = _DEPLOYMENT if outer is not data else ()
        deployment = {name: value for name, value in data.items() if name in known}
        around = [name for name, value in data.items() if name not in (*known, prefix or key) and _says(value)]
        if outer is not data:
            around += [f"{prefix}.{name}" for name, value in outer.items() if name != key and _says(value)]
        return ManifestDocument(dict(content), place, template, warnings, deployment, tuple(around))
    if any(isinstance(key, str) and key.startswith("$edge") for key in outer):
        content = {key: value for key, value in outer.items() if key not in _TEMPLATE}
        around = [key for key in outer if key in _TEMPLATE]
        return ManifestDocument(content, prefix, template, around=tuple(around))
    return finding("ManifestForm", "", "neither modulesContent nor content.modulesContent nor $edgeAgent is there")


def _says(value: object) -> bool:
    """Whether a value holds anything: `{"queries": {}}` does not."""
    match value:
        case Mapping():
            return any(_says(item) for item in value.values())
        case None | "" | []:
            return False
        case _:
            return True

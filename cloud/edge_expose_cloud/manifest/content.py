"""Finds the modules content inside a deployment manifest document, whichever way it is wrapped. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edge_expose_cloud.findings.finding import Finding, finding
from edge_expose_contract.violations import shown

_DEPLOYMENT = ("id", "targetCondition", "priority", "labels", "metrics")


@dataclass(frozen=True, slots=True)
class ManifestDocument:
    """`content` maps module ids to their sections; `prefix` is its path in the document.

    `is_template`: a solution template with `$schema-template`, whose `${...}` are filled by other tools. `deployment`:
    what stands around the content in an automatic deployment: its id, target condition, priority, labels, metrics.
    """

    content: dict[str, Any]
    prefix: str
    is_template: bool = False
    warnings: list[Finding] = field(default_factory=list)
    deployment: Mapping[str, Any] = field(default_factory=dict)

    def path(self, inner: str) -> str:
        return f"{self.prefix}.{inner}" if self.prefix and inner else self.prefix or inner


def looks_like_manifest(data: object) -> bool:
    """True for a document that is a deployment manifest rather than a spec."""
    if not isinstance(data, Mapping):
        return False
    return any(key in data for key in ("modulesContent", "moduleContent", "content", "$edgeAgent", "$edgeHub"))


def read_manifest(data: object) -> ManifestDocument | Finding:
    """`modulesContent`, `content.modulesContent`, the old `moduleContent`, or the bare content."""
    if not isinstance(data, Mapping):
        return finding("ManifestForm", "", f"the document is {shown(data)}, not an object")
    outer, prefix = data, ""
    inner = data.get("content")
    if isinstance(inner, Mapping) and ("modulesContent" in inner or "moduleContent" in inner):
        outer, prefix = inner, "content"
    template = "$schema-template" in data or "$schema-template" in outer
    for key in ("modulesContent", "moduleContent"):
        if key not in outer:
            continue
        place = f"{prefix}.{key}" if prefix else key
        content = outer[key]
        if not isinstance(content, Mapping):
            return finding("ManifestForm", place, f"{key} is {shown(content)}, not an object")
        warnings = (
            [finding("ManifestLegacy", place, "moduleContent is read as modulesContent")]
            if key == "moduleContent"
            else []
        )
        around = {key: value for key, value in data.items() if key in _DEPLOYMENT} if outer is not data else {}
        return ManifestDocument(dict(content), place, template, warnings, around)
    if any(isinstance(key, str) and key.startswith("$edge") for key in outer):
        content = {key: value for key, value in outer.items() if key not in ("$schema-template", "$schema")}
        return ManifestDocument(content, prefix, template)
    return finding("ManifestForm", "", "neither modulesContent nor content.modulesContent nor $edgeAgent is there")

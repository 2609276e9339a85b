"""Name, target and labels of a spec, from what stands around the modules content of a manifest. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from edge_expose_cloud.findings.finding import Finding, finding
from edge_expose_cloud.manifest.checks import is_layered
from edge_expose_cloud.manifest.content import ManifestDocument
from edge_expose_cloud.spec.names import deployment_name
from edge_expose_contract.violations import shown

Json = dict[str, Any]

DEFAULT_DEVICE: Final = "edge1"
_PRIORITY: Final = 10  # of a layer that says none: above a base deployment, which has 0 by default
_HIGHEST: Final = 2147483647
_OUR_LABELS: Final = "edgeExpose"
_SPEC_LABEL: Final = f"{_OUR_LABELS}Spec"


@dataclass(frozen=True, slots=True)
class Heading:
    """The fields of a spec that do not come from the modules content."""

    name: str
    target: Json
    labels: dict[str, str] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()


def heading_of(document: ManifestDocument, fallback: str, name: str | None, device: str | None) -> Heading:
    """`name` and `device` win over what the document says; `fallback` is the name of one that says none."""
    target, found = _target(document, device)
    labels = document.deployment.get("labels")
    entries = labels if isinstance(labels, Mapping) else {}
    taken = {key: text for key, text in entries.items() if isinstance(text, str) and not key.startswith(_OUR_LABELS)}
    if left := sorted(entries.keys() - taken.keys()):
        found.append(finding("ImportLabels", "labels", f"not in the spec: {', '.join(map(shown, left))}"))
    around = [*document.around, *(["labels"] if labels and not entries else [])]
    if around:
        found.append(finding("ImportAround", "", f"not in the spec: {', '.join(around)}"))
    return Heading(_name(document, fallback, name, found), target, taken, tuple(found))


def _name(document: ManifestDocument, fallback: str, name: str | None, found: list[Finding]) -> str:
    if name is not None:
        return name
    labels = document.deployment.get("labels")
    spec = labels.get(_SPEC_LABEL) if isinstance(labels, Mapping) else None
    if isinstance(spec, str) and deployment_name(spec) == spec:
        return spec  # a deployment of ours: its id is the name of its spec and a hash
    written = document.deployment.get("id")
    if not isinstance(written, str) or not written:
        return deployment_name(fallback)
    if (chosen := deployment_name(written)) != written:
        found.append(finding("ImportName", "name", f"the id {shown(written)} became {shown(chosen)}"))
    return chosen


def _target(document: ManifestDocument, device: str | None) -> tuple[Json, list[Finding]]:
    condition, priority = document.deployment.get("targetCondition"), document.deployment.get("priority")
    layered = is_layered(document.content)
    names_target = isinstance(condition, str) and device is None
    if not layered and not names_target:
        return {"device": device or DEFAULT_DEVICE}, []
    quoted = (device or DEFAULT_DEVICE).replace("'", "''")
    target: Json = {"condition": condition if names_target else f"deviceId='{quoted}'"}
    sound = isinstance(priority, int) and not isinstance(priority, bool) and 0 <= priority <= _HIGHEST
    target["priority"] = priority if sound else 0 if names_target else _PRIORITY
    if layered:
        target["layered"] = True
    found = []
    if not names_target and device is None:
        text = f"a layer needs a target condition, and this manifest has none; the spec has {target['condition']}"
        found.append(finding("ImportTarget", "target.condition", text))
    if priority is not None and not sound:
        text = f"the priority is not a whole number from 0 to {_HIGHEST}; the spec has {target['priority']}"
        found.append(finding("ImportTarget", "target.priority", text))
    return target, found

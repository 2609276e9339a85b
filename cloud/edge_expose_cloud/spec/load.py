"""From the text of a spec to a Spec, or to every reason why not. Pure.

Stages: YAML with lines ▸ variables of the device ▸ models (spec and contract) ▸ lint. All findings are shown at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edge_expose_cloud.findings.finding import Finding, finding, has_errors, in_reading_order
from edge_expose_cloud.spec.build import SpecBuilder
from edge_expose_cloud.spec.checks.fields import Checks
from edge_expose_cloud.spec.model import Spec
from edge_expose_cloud.spec.text.documents import Document
from edge_expose_cloud.spec.text.yaml_lines import read_yaml
from edge_expose_cloud.spec.variables import template_of
from edge_expose_contract.violations import shown

if TYPE_CHECKING:
    from edge_expose_cloud.spec.inventory import Inventory


@dataclass(frozen=True, slots=True)
class LoadedSpec:
    """`spec` is None when an error forbids going on; `findings` then say why. Warnings may stand beside a spec."""

    spec: Spec | None
    findings: list[Finding] = field(default_factory=list)
    document: Document | None = None

    def located(self, findings: Iterable[Finding]) -> list[Finding]:
        """What was found later, with the file and the lines of this spec."""
        return [self.document.locate(item) if self.document is not None else item for item in findings]


def load_spec(text: str, file: str, inventory: Inventory | None = None, device_id: str | None = None) -> LoadedSpec:
    """Reads, checks and lints. `device_id` picks the variables; by default the spec's own target device."""
    document = read_yaml(text, file)
    if isinstance(document, Finding):
        return LoadedSpec(None, [document])
    return spec_from_data(document, inventory, device_id)


def spec_from_data(document: Document, inventory: Inventory | None = None, device_id: str | None = None) -> LoadedSpec:
    """The same, from a document that was read already."""
    return SpecReader(document, inventory).read(device_id)


class SpecReader:
    """Reads one document for one device after the other. Nothing is kept of a device but what the last one left: what
    is written the same for the next one is neither parsed nor checked again."""

    def __init__(self, document: Document, inventory: Inventory | None = None) -> None:
        self._document = document
        self._inventory = inventory
        data = document.data if isinstance(document.data, dict) else {}
        self._data = {key: value for key, value in data.items() if value is not None}
        version = self._data.get("schemaVersion")
        if isinstance(version, float) and version == 1.0:  # 1.0 unquoted is a number in YAML; what was meant is clear
            self._data["schemaVersion"] = "1.0"
        self._template = template_of(self._data)
        self._builder = SpecBuilder()
        self._checks = Checks()

    def read(self, device_id: str | None = None) -> LoadedSpec:
        """The spec as a device sees it; by default its own target."""
        document, inventory, data = self._document, self._inventory, self._data
        if not isinstance(document.data, dict):
            what = "is empty" if document.data is None else f"is {shown(document.data)}"
            wrong = finding("WrongType", "", f"a spec is a mapping; this file {what}")
            return LoadedSpec(None, [document.locate(wrong)], document)
        found = [*document.findings, *_check_version(data)]
        device = device_id or _target_device(data)
        if inventory is not None and device is not None and device not in inventory.devices:
            found.append(finding("DeviceUnknown", "target.device", f"{shown(device)} is not in the inventory"))
        if self._template is not None:
            variables = inventory.variables_of(device) if inventory else {"deviceId": device or ""}
            data, variable_findings = self._template.fill(variables)
            found.extend(variable_findings)
        data = _with_network(data, inventory, device)
        spec, model_findings = self._builder.build(data)
        found.extend(model_findings)
        if spec is not None:
            found.extend(self._checks.lint(spec, data))
        located = in_reading_order(document.locate(item) for item in found)
        return LoadedSpec(None if has_errors(located) else spec, located, document)


def _check_version(data: Mapping[str, Any]) -> list[Finding]:
    version = data.get("schemaVersion")
    if isinstance(version, str) and version != "1.0":
        return [
            finding(
                "SchemaVersion", "schemaVersion", f"schemaVersion {shown(version)} is not known; this version reads 1.0"
            )
        ]
    return []


def _target_device(data: Mapping[str, Any]) -> str | None:
    target = data.get("target")
    device = target.get("device") if isinstance(target, Mapping) else None
    return device if isinstance(device, str) else None


def _with_network(data: dict[str, Any], inventory: Inventory | None, device: str | None) -> dict[str, Any]:
    """The inventory's ranges stand in where the spec has none of its own."""
    entry = inventory.devices.get(device) if inventory and device else None
    if entry is None or entry.network is None or "network" in data:
        return data
    return {**data, "network": entry.network}

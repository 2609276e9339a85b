"""From the text of a spec to a Spec, or to every reason why not. Pure.

Stages: YAML with lines ▸ variables of the device ▸ models (spec and contract) ▸ lint. All findings are shown at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from edge_expose_cloud.findings.finding import Finding, finding, has_errors, in_reading_order
from edge_expose_cloud.findings.from_contract import findings_of
from edge_expose_cloud.spec.checks import lint
from edge_expose_cloud.spec.documents import Document
from edge_expose_cloud.spec.inventory import Inventory
from edge_expose_cloud.spec.model import Spec
from edge_expose_cloud.spec.pruning import refused_paths, without
from edge_expose_cloud.spec.variables import fill_variables
from edge_expose_cloud.spec.yaml_lines import read_yaml
from edge_expose_contract.models import Exposure
from edge_expose_contract.parsing import parse_exposure
from edge_expose_contract.violations import from_pydantic, shown


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
    if not isinstance(document.data, dict):
        what = "is empty" if document.data is None else f"is {shown(document.data)}"
        return LoadedSpec(
            None, [document.locate(finding("WrongType", "", f"a spec is a mapping; this file {what}"))], document
        )
    data = {key: value for key, value in document.data.items() if value is not None}
    version = data.get("schemaVersion")
    if isinstance(version, float) and version == 1.0:  # 1.0 without quotes is a number in YAML; what was meant is clear
        data["schemaVersion"] = "1.0"
    found = [*document.findings, *_check_version(data)]
    device = device_id or _target_device(data)
    if inventory is not None and device is not None and device not in inventory.devices:
        found.append(finding("DeviceUnknown", "target.device", f"{shown(device)} is not in the inventory"))
    data, variable_findings = fill_variables(
        data, inventory.variables_of(device) if inventory else {"deviceId": device or ""}
    )
    found.extend(variable_findings)
    data = _with_network(data, inventory, device)
    spec, model_findings = _build(data)
    found.extend(model_findings)
    if spec is not None:
        found.extend(lint(spec, data))
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
    return {**data, "network": entry.network.model_dump(by_alias=True, exclude_none=True)}


def _build(data: dict[str, Any]) -> tuple[Spec | None, list[Finding]]:
    """Exposures are parsed one by one by the contract: each shows all its violations, also beside a broken spec."""
    found: list[Finding] = []
    exposures: dict[str, Exposure] = {}
    raw = data.get("exposures", {})
    if not isinstance(raw, dict):
        found.append(finding("WrongType", "exposures", f"exposures is {shown(raw)}, not a mapping of names"))
        raw = {}
    for name, entry in raw.items():
        if entry is None:
            found.append(finding("MissingField", f"exposures.{name}", f"exposure {shown(name)} is empty"))
            continue
        exposure, violations = parse_exposure(name, entry, unknown_is_error=True)
        found.extend(findings_of(violations))
        if exposure is not None:
            exposures[name] = exposure
    rest = {key: _present(value) for key, value in data.items() if key != "exposures"}
    try:
        spec = Spec.model_validate(rest)
    except ValidationError as error:
        found += findings_of(from_pydantic(error))
        partial = _without_errors(rest, error)
        if partial is None:
            return None, found
        spec = partial
    return spec.model_copy(update={"exposures": exposures}), found


def _without_errors(data: dict[str, Any], error: ValidationError) -> Spec | None:
    """The spec without the pieces that are wrong, so that the rest is still checked; None when none is left."""
    try:
        return Spec.model_validate(without(data, refused_paths(data, error)))
    except ValidationError:
        return None


def _present(value: Any) -> Any:
    """Sections and entries written with nothing behind the colon count as left out, one level down as well."""
    if isinstance(value, dict):
        return {
            key: {} if item is None and isinstance(key, str) else item
            for key, item in value.items()
            if item is not None
        }
    return value

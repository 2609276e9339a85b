"""The inventory (fleet.yaml): devices with tags, ranges and variables. Models and look-ups; pure."""

from __future__ import annotations

from typing import Any

from pydantic import Field, ValidationError

from edge_expose_cloud.findings.finding import Finding, finding
from edge_expose_cloud.findings.from_contract import findings_of
from edge_expose_cloud.spec.model import Network, SpecModel
from edge_expose_cloud.spec.text.documents import Document
from edge_expose_cloud.spec.text.yaml_lines import read_yaml
from edge_expose_contract.violations import from_pydantic

Variable = str | int | float | bool


class Device(SpecModel):
    """One device of the fleet."""

    tags: dict[str, Any] = Field(default_factory=dict, description="Tags its twin has, for people and for checks.")
    network: Network | None = Field(None, description="Its Compute network page; used where the spec has none.")
    subnet: str | None = Field(
        None, description="Name of the network segment; ranges of devices on one subnet must not overlap."
    )
    variables: dict[str, Variable] = Field(default_factory=dict, description="Values for ${name} in specs.")


class Inventory(SpecModel):
    """The fleet, by device id."""

    schema_version: str = Field("1.0", alias="schemaVersion", description='"1.0".')
    variables: dict[str, Variable] = Field(default_factory=dict, description="Defaults for every device.")
    devices: dict[str, Device] = Field(default_factory=dict, description="Devices by id.")

    def variables_of(self, device_id: str | None) -> dict[str, Variable]:
        """Defaults, then the device's own, and `deviceId` itself."""
        values = dict(self.variables)
        device = self.devices.get(device_id) if device_id else None
        if device is not None:
            values.update(device.variables)
        if device_id:
            values.setdefault("deviceId", device_id)
        return values


def load_inventory(text: str, file: str) -> tuple[Inventory | None, list[Finding]]:
    """The inventory, or every reason why there is none."""
    document = read_yaml(text, file)
    if isinstance(document, Finding):
        return None, [document]
    return _validate(document)


def _validate(document: Document) -> tuple[Inventory | None, list[Finding]]:
    data = document.data if document.data is not None else {}
    if not isinstance(data, dict):
        return None, [document.locate(finding("WrongType", "", "an inventory is a mapping with the key devices"))]
    if data.get("schemaVersion") == 1.0:
        data = {**data, "schemaVersion": "1.0"}
    try:
        inventory = Inventory.model_validate({key: value for key, value in data.items() if value is not None})
    except ValidationError as error:
        found = findings_of(from_pydantic(error))
        return None, [*document.findings, *(document.locate(item) for item in found)]
    return (None if document.findings else inventory), list(document.findings)

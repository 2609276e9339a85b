"""JSON Schemas of every document: spec, inventory, manifest sections, and the contract's. Pure."""

from __future__ import annotations

from typing import Any

from edge_expose_cloud.manifest.schemas import manifest_schemas
from edge_expose_cloud.spec.inventory import Inventory
from edge_expose_cloud.spec.model import Spec
from edge_expose_contract.schema import schemas as contract_schemas

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def cloud_schemas() -> dict[str, dict[str, Any]]:
    """File name -> schema, for the documents of the cloud side."""
    spec = Spec.model_json_schema(by_alias=True)
    fleet = Inventory.model_json_schema(by_alias=True)
    return {
        "spec.schema.json": {"$schema": _DIALECT, **spec, "title": "edge-expose spec"},
        "fleet.schema.json": {"$schema": _DIALECT, **fleet, "title": "edge-expose inventory"},
        **manifest_schemas(),
    }


def all_schemas() -> dict[str, dict[str, Any]]:
    """Those of the contract as well."""
    return {**cloud_schemas(), **contract_schemas()}

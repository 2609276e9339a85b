"""JSON Schemas of the cloud side; `python -m edge_expose_cloud.schemas --write` renews the committed copies."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from edge_expose_cloud.generated import renew
from edge_expose_cloud.inventory import Inventory
from edge_expose_cloud.manifest_schemas import manifest_schemas
from edge_expose_cloud.spec import Spec
from edge_expose_contract.schema import schema_text
from edge_expose_contract.schema import schemas as contract_schemas

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
FOLDER = Path("deployment-manifests/schemas")


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


def main(arguments: list[str]) -> int:
    files = {name: schema_text(schema) for name, schema in all_schemas().items()}
    return renew("edge_expose_cloud.schemas", files, FOLDER, arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""JSON Schemas generated from the models; `python -m edge_expose_contract.schema` prints the desired one."""

from __future__ import annotations

import json
import sys
from typing import Any

from edge_expose_contract.models import Desired
from edge_expose_contract.reported import Reported

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schemas() -> dict[str, dict[str, Any]]:
    """File name -> schema."""
    found = {}
    for name, model, title in (
        ("module-desired.schema.json", Desired, "Desired properties of the edge-expose module"),
        ("module-reported.schema.json", Reported, "Reported properties of the edge-expose module"),
    ):
        schema = model.model_json_schema(by_alias=True)
        found[name] = {"$schema": _DIALECT, **schema, "title": title}
    return found


def schema_text(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(schema_text(schemas()["module-desired.schema.json"]))

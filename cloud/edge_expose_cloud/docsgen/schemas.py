"""JSON Schemas of the cloud side; `python -m edge_expose_cloud.docsgen.schemas --write` renews the committed copies."""

from __future__ import annotations

import sys
from pathlib import Path

from edge_expose_cloud.docsgen.committed import renew
from edge_expose_cloud.manifest.all_schemas import all_schemas
from edge_expose_contract.schema import schema_text

FOLDER = Path("deployment-manifests/schemas")


def main(arguments: list[str]) -> int:
    files = {name: schema_text(schema) for name, schema in all_schemas().items()}
    return renew("edge_expose_cloud.docsgen.schemas", files, FOLDER, arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

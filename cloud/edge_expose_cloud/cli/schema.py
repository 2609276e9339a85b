"""The command that prints JSON Schemas: schema."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from edge_expose_cloud.cli.shared.app import new_app
from edge_expose_cloud.cli.shared.errors import guarded
from edge_expose_cloud.cli.shared.options import UsageProblem

app = new_app()


@app.command()
@guarded
def schema(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Schema to print. Lists the schemas if omitted.")
    ] = None,
) -> None:
    """Print a JSON Schema. There is one for the spec, the inventory, the module's twin and each manifest section.

    Example: edge-expose schema spec > spec.schema.json
    """
    from edge_expose_cloud.manifest.all_schemas import all_schemas

    known = all_schemas()
    if name is None:
        for key in known:
            typer.echo(key.removesuffix(".schema.json"))
        return
    found = known.get(f"{name}.schema.json") or known.get(name)
    if found is None:
        raise UsageProblem(f"there is no schema {name!r}", ", ".join(key.removesuffix(".schema.json") for key in known))
    typer.echo(json.dumps(found, indent=2, sort_keys=True, ensure_ascii=False))

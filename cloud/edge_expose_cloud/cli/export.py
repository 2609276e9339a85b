"""The command that makes a spec of a live device: export."""

from __future__ import annotations

from typing import Annotated

import typer

from edge_expose_cloud.cli.shared.app import new_app
from edge_expose_cloud.cli.shared.errors import guarded
from edge_expose_cloud.cli.shared.options import Auth, ConnectionFile, HideValues, HubHost, connect
from edge_expose_cloud.cli.shared.output import Format, print_spec
from edge_expose_cloud.usecases.export import export_spec

app = new_app()
As = Annotated[Format, typer.Option("--output", "-o", help="Output format: yaml or json.")]


@app.command(name="export")
@guarded
def export(
    device: Annotated[str, typer.Argument(metavar="DEVICE")],
    hide_values: HideValues = False,
    connection_string_file: ConnectionFile = None,
    hub: HubHost = None,
    auth: Auth = "key",
    output: As = Format.YAML,
) -> None:
    """Print a spec of what a device runs now. Passwords of registries become references.

    Other values are printed as they are, and stderr names where; with --hide-values they are not.

    Example: edge-expose export edge1 > edge1.yaml
    """
    target = connect(connection_string_file, hub, auth)
    print_spec(*export_spec(target, device, hide_values=hide_values), output)

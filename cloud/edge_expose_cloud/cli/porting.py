"""Commands that make a spec of what exists: export (a live device), import (a manifest)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge_expose_cloud.cli.files import read_source
from edge_expose_cloud.cli.guarding import guarded
from edge_expose_cloud.cli.options import Auth, ConnectionFile, HubHost, connect
from edge_expose_cloud.cli.output import Format, data, err, show_findings
from edge_expose_cloud.findings import Finding
from edge_expose_cloud.hub import Json
from edge_expose_cloud.porting import slug, spec_of_manifest
from edge_expose_cloud.usecases.exporting import export_spec

app = typer.Typer(add_completion=False)
As = Annotated[Format, typer.Option("--output", "-o", help="yaml or json.")]


@app.command(name="export")
@guarded
def export(
    device: Annotated[str, typer.Argument(metavar="DEVICE")],
    hide_values: Annotated[
        bool,
        typer.Option("--hide-values", help="Also values of env, commands and labels become references: ${env:NAME}."),
    ] = False,
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
    _print(*export_spec(target, device, hide_values=hide_values), output)


@app.command(name="import")
@guarded
def import_(
    manifest: Annotated[str, typer.Argument(metavar="MANIFEST.json", help="A deployment manifest, or -.")],
    device: Annotated[str, typer.Option("--device", help="The target device of the spec.")] = "edge1",
    name: Annotated[str | None, typer.Option("--name", help="The name of the spec.")] = None,
    output: As = Format.YAML,
) -> None:
    """Print a spec of a deployment manifest; what a spec cannot say is named on stderr.

    Of an automatic deployment's document the target condition, priority and labels are taken along.

    Example: edge-expose import deployment.json --device edge1 > spec.yaml
    """
    source = read_source(manifest)
    document = source.manifest()
    _print(*spec_of_manifest(document, name or slug(Path(manifest).stem), device), output)


def _print(spec: Json, findings: list[Finding], output: Format) -> None:
    show_findings(findings, err())
    data(spec, Format.YAML if output is Format.TABLE else output)

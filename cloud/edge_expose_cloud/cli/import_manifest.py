"""The command that makes a spec of a deployment manifest: import."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge_expose_cloud.cli.shared.app import new_app
from edge_expose_cloud.cli.shared.errors import guarded
from edge_expose_cloud.cli.shared.files import read_source
from edge_expose_cloud.cli.shared.options import HideValues, UsageProblem
from edge_expose_cloud.cli.shared.output import Format, print_spec
from edge_expose_cloud.manifest.imports.spec import spec_of_manifest
from edge_expose_cloud.manifest.imports.target import DEFAULT_DEVICE
from edge_expose_cloud.manifest.imports.values import values_hidden
from edge_expose_cloud.spec.names import is_deployment_name

app = new_app()
As = Annotated[Format, typer.Option("--output", "-o", help="Output format: yaml or json.")]


@app.command(name="import")
@guarded
def import_(
    manifest: Annotated[str, typer.Argument(metavar="MANIFEST.json", help="A deployment manifest, or -.")],
    device: Annotated[
        str | None, typer.Option("--device", help=f"Target device of the spec; {DEFAULT_DEVICE} if omitted.")
    ] = None,
    name: Annotated[
        str | None,
        typer.Option("--name", help="Name of the spec; if omitted, the id of the deployment or the file's name."),
    ] = None,
    hide_values: HideValues = False,
    output: As = Format.YAML,
) -> None:
    """Print the spec of a deployment manifest. It renders to the same manifest; any difference is named on stderr.

    Passwords of registries become references, ${env:NAME}; other values only with --hide-values. Of an automatic
    deployment the target condition, priority and labels are taken along; --name and --device win over the document.

    Example: edge-expose import deployment.json --device edge1 > spec.yaml
    """
    if name is not None and not is_deployment_name(name):
        hint = "use lower-case letters, digits and - + % _ * ! ', at most 128"
        raise UsageProblem(f"{name!r} cannot be the name of a spec", hint)
    source = read_source(manifest)
    document = source.manifest()
    spec, findings = spec_of_manifest(document, Path(manifest).stem, name=name, device=device)
    if hide_values:
        findings = [*findings, *values_hidden(spec, desired=True)]
    print_spec(spec, findings, output)

"""The command that makes a spec of a deployment manifest: import."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge_expose_cloud.cli.shared.app import new_app
from edge_expose_cloud.cli.shared.errors import guarded
from edge_expose_cloud.cli.shared.files import read_source
from edge_expose_cloud.cli.shared.output import Format, print_spec
from edge_expose_cloud.manifest.import_export import slug, spec_of_manifest

app = new_app()
As = Annotated[Format, typer.Option("--output", "-o", help="Output format: yaml or json.")]


@app.command(name="import")
@guarded
def import_(
    manifest: Annotated[str, typer.Argument(metavar="MANIFEST.json", help="A deployment manifest, or -.")],
    device: Annotated[str, typer.Option("--device", help="Target device of the spec.")] = "edge1",
    name: Annotated[str | None, typer.Option("--name", help="Name of the spec.")] = None,
    output: As = Format.YAML,
) -> None:
    """Print a spec of a deployment manifest. What a spec cannot express is named on stderr.

    Of an automatic deployment's document the target condition, priority and labels are taken along.

    Example: edge-expose import deployment.json --device edge1 > spec.yaml
    """
    source = read_source(manifest)
    document = source.manifest()
    print_spec(*spec_of_manifest(document, name or slug(Path(manifest).stem), device), output)

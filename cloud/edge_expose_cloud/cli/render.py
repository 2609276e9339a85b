"""The command that prints a deployment manifest: render."""

from __future__ import annotations

from typing import Annotated

import typer

from edge_expose_cloud.cli.shared.app import new_app
from edge_expose_cloud.cli.shared.errors import guarded
from edge_expose_cloud.cli.shared.files import read_inventory as _inventory
from edge_expose_cloud.cli.shared.files import read_source, spec_from_source
from edge_expose_cloud.cli.shared.options import Fleet, SpecFile, UsageProblem
from edge_expose_cloud.cli.shared.output import err, say, show_findings
from edge_expose_cloud.manifest.checks import budgets
from edge_expose_cloud.manifest.encoding import Content, Secrets
from edge_expose_cloud.manifest.render import manifest_text, render_content
from edge_expose_cloud.spec.variables import secret_names

app = new_app()


@app.command(name="render")
@guarded
def render_command(
    file: SpecFile,
    fleet: Fleet = None,
    device: Annotated[
        str | None,
        typer.Option("--device", metavar="ID", help="Device, for a spec with target: {device: ${deviceId}}."),
    ] = None,
    with_secrets: Annotated[
        bool, typer.Option("--with-secrets", help="Fill in ${env:NAME}. Refused on a terminal.")
    ] = False,
    budget: Annotated[bool, typer.Option("--budget", help="Also print how much of each twin's 32 KB is used.")] = False,
) -> None:
    """Print the deployment manifest of a spec. The same spec gives the same bytes every time.

    Example: edge-expose render two-tier.yaml > two-tier.json
    """
    import os
    import sys

    from edge_expose_cloud.usecases.plan import require_spec
    from edge_expose_cloud.usecases.secrets import secrets_for

    source = read_source(file)
    loaded = spec_from_source(source, _inventory(fleet) if fleet else None, device)
    spec = require_spec(loaded, later=not with_secrets)
    # Without values references stay, and what only reads like one is written as it will be sent.
    secrets = Secrets({name: f"${{env:{name}}}" for name in secret_names(render_content(spec, {}))})
    if with_secrets:
        if sys.stdout.isatty():
            raise UsageProblem("secrets are not written to a terminal", "redirect the output into a file")
        with source.locating():
            secrets = secrets_for(spec, os.environ)
    show_findings(loaded.findings, err())
    document = {"modulesContent": Content(render_content(spec, {}), secrets).sent()}
    sys.stdout.write(manifest_text(document))
    if budget:
        for meter in budgets(document["modulesContent"]):
            say(f"{meter.module}: {meter.bytes} of {meter.limit} bytes ({meter.percent} %)")

"""The command that checks a spec or a manifest: validate."""

from __future__ import annotations

from typing import Annotated

import typer

from edge_expose_cloud.cli.shared.app import new_app
from edge_expose_cloud.cli.shared.errors import guarded
from edge_expose_cloud.cli.shared.options import Fleet, Output
from edge_expose_cloud.cli.shared.output import Format, count_words, data, out, say, show_findings
from edge_expose_cloud.findings.finding import has_errors
from edge_expose_cloud.findings.problems import InputError

app = new_app()


@app.command()
@guarded
def validate(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="A spec (YAML) or a deployment manifest (JSON), or - for stdin.")
    ],
    fleet: Fleet = None,
    output: Output = Format.TABLE,
) -> None:
    """Check a spec or a deployment manifest and report every violation. Exit 2 when there is an error.

    Example: edge-expose validate two-tier.yaml
    """
    from edge_expose_cloud.cli.shared.violations import violations_of

    try:
        findings = violations_of(file, fleet)
    except InputError as error:
        findings = error.findings
    if output is not Format.TABLE:
        data({"violations": [item.to_json() for item in findings]}, output)
    else:
        show_findings(findings, out())
    say(f"{file}: {count_words(findings)}")
    if has_errors(findings):
        raise typer.Exit(2)

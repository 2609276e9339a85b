"""The command that checks a spec or a manifest: validate."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from edge_expose_cloud.cli.shared.app import new_app
from edge_expose_cloud.cli.shared.errors import guarded
from edge_expose_cloud.cli.shared.files import Source, is_template, read_source, spec_from_source
from edge_expose_cloud.cli.shared.files import read_inventory as _inventory
from edge_expose_cloud.cli.shared.options import Fleet, Output
from edge_expose_cloud.cli.shared.output import Format, count_words, data, out, say, show_findings
from edge_expose_cloud.findings.finding import Finding, has_errors, in_reading_order
from edge_expose_cloud.findings.problems import InputError
from edge_expose_cloud.manifest.checks import check_manifest
from edge_expose_cloud.manifest.spec_checks import check_rendered
from edge_expose_cloud.spec.inventory import Inventory
from edge_expose_cloud.spec.load import SpecReader

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
    try:
        findings = _violations(file, fleet)
    except InputError as error:
        findings = error.findings
    if output is not Format.TABLE:
        data({"violations": [item.to_json() for item in findings]}, output)
    else:
        show_findings(findings, out())
    say(f"{file}: {count_words(findings)}")
    if has_errors(findings):
        raise typer.Exit(2)


def _violations(file: str, fleet: str | None) -> list[Finding]:
    source = read_source(file)
    locate = source.document.locate
    if source.is_manifest:
        return in_reading_order(locate(item) for item in check_manifest(source.manifest()))
    if fleet and is_template(source):
        return _each_device(source, _inventory(fleet))
    loaded = spec_from_source(source, _inventory(fleet) if fleet else None)
    if loaded.spec is None:
        return loaded.findings
    known = {(item.rule, item.path) for item in loaded.findings}
    rendered = [item for item in check_rendered(loaded.spec) if (item.rule, item.path) not in known]
    return in_reading_order([*loaded.findings, *loaded.located(rendered)])


def _each_device(source: Source, inventory: Inventory) -> list[Finding]:
    """A spec for `${deviceId}` as each device sees it; what is wrong for many is shown once, with the first of them."""
    found: dict[tuple[str, str, int], Finding] = {}
    reader = SpecReader(source.document, inventory)
    for device in sorted(inventory.devices):
        loaded = reader.read(device)
        for item in loaded.findings:
            found.setdefault(
                (item.rule, item.path, item.line), replace(item, message=f"device {device}: {item.message}")
            )
    return in_reading_order(found.values())

"""The command that shows what apply would change: plan."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Annotated

import typer

from edge_expose_cloud.cli.shared.app import new_app
from edge_expose_cloud.cli.shared.carry_out import Details
from edge_expose_cloud.cli.shared.each_device import Devices, Every, plans_of, show_each
from edge_expose_cloud.cli.shared.errors import guarded
from edge_expose_cloud.cli.shared.files import read_inventory, read_source, spec_from_source
from edge_expose_cloud.cli.shared.members import show_members
from edge_expose_cloud.cli.shared.options import Auth, ConnectionFile, Fleet, HubHost, SpecFile, connect
from edge_expose_cloud.cli.shared.output import Format, PlanFormat
from edge_expose_cloud.cli.shared.plan_output import show_plan
from edge_expose_cloud.findings.finding import has_errors
from edge_expose_cloud.plan.fleet import MemberPlan
from edge_expose_cloud.plan.model import Plan
from edge_expose_cloud.plan.render import markdown_of
from edge_expose_cloud.usecases.fleet_plans import plan_members
from edge_expose_cloud.usecases.plan import make_plan, require_spec

app = new_app()


@app.command()
@guarded
def plan(
    file: SpecFile,
    fleet: Fleet = None,
    device: Devices = None,
    every_device: Every = False,
    per_device: Annotated[
        bool, typer.Option("--per-device", help="For a condition: also show the plan of each device it matches.")
    ] = False,
    connection_string_file: ConnectionFile = None,
    hub: HubHost = None,
    auth: Auth = "key",
    details: Details = False,
    output: Annotated[
        PlanFormat, typer.Option("--output", "-o", help="Output format; markdown suits a pull request comment.")
    ] = PlanFormat.TABLE,
) -> None:
    """Show what apply would change and what people would notice. Sends nothing; exit 3 when there are changes.

    Example: edge-expose plan two-tier.yaml
    """
    inventory = read_inventory(fleet) if fleet else None
    if device or every_device:
        target = connect(connection_string_file, hub, auth)
        plans, refused = plans_of(target, file, inventory, device or [], every_device)
        if output is PlanFormat.MARKDOWN:
            sys.stdout.write("\n".join(markdown_of(item.plan) for item in plans))
        else:
            show_each(plans, Format(output.value), details=details)
        if refused:
            raise typer.Exit(1)
        if any(item.plan.changes for item in plans):
            raise typer.Exit(3)
        return
    source = read_source(file)
    loaded = spec_from_source(source, inventory)
    spec = require_spec(loaded)
    target = connect(connection_string_file, hub, auth)
    with source.locating():
        made = make_plan(target, spec, os.environ, inventory, loaded.findings)
    members = per_device and spec.target.condition is not None
    if output is PlanFormat.MARKDOWN:
        sys.stdout.write(markdown_of(made))
    else:
        _show(made, Format(output.value), details, plan_members(target, spec, inventory) if members else None)
    if has_errors(made.findings):
        raise typer.Exit(2)
    if made.changes:
        raise typer.Exit(3)


def _show(made: Plan, output: Format, details: bool, members: tuple[int, Iterator[MemberPlan]] | None) -> None:
    """The plan, and beside it what it means for each device that the condition matches."""
    if members is not None:
        show_members(*members, made.to_json(), output)
    if members is None or output is Format.TABLE:
        show_plan(made, output, details=details)

"""The command that changes devices from a spec: apply."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from edge_expose_cloud.cli.shared.app import new_app
from edge_expose_cloud.cli.shared.carry_out import Allow, Backup, Details, DryRun, NoBackup, carry_out, operator
from edge_expose_cloud.cli.shared.each_device import Devices, Every, do_each, each_json, exit_code, plans_of, show_each
from edge_expose_cloud.cli.shared.errors import guarded
from edge_expose_cloud.cli.shared.files import read_inventory, read_source, spec_from_source
from edge_expose_cloud.cli.shared.follow import Timeout, Wait, follow, report
from edge_expose_cloud.cli.shared.options import (
    Auth,
    ConnectionFile,
    Fleet,
    HubHost,
    Note,
    Output,
    SpecFile,
    Yes,
    check_is_digest,
    connect,
    parse_allow,
)
from edge_expose_cloud.cli.shared.output import Format, data, say
from edge_expose_cloud.hub.api import Hub
from edge_expose_cloud.plan.model import Plan
from edge_expose_cloud.spec.inventory import Inventory
from edge_expose_cloud.spec.model import Spec
from edge_expose_cloud.status.fleet import release_hint
from edge_expose_cloud.status.wait import WaitResult
from edge_expose_cloud.usecases.apply import apply_plan
from edge_expose_cloud.usecases.each_device import DeviceOutcome, DevicePlan, check_expected_each
from edge_expose_cloud.usecases.operator import Operator
from edge_expose_cloud.usecases.plan import make_plan, require_spec
from edge_expose_cloud.usecases.release import plan_release
from edge_expose_cloud.usecases.sites import write_sites

app = new_app()


@app.command()
@guarded
def apply(
    file: SpecFile,
    fleet: Fleet = None,
    device: Devices = None,
    every_device: Every = False,
    wait: Wait = False,
    timeout: Timeout = 300.0,
    dry_run: DryRun = False,
    details: Details = False,
    expect: Annotated[
        str | None, typer.Option("--expect", metavar="DIGEST", help="Apply only if the plan has this digest.")
    ] = None,
    allow: Allow = None,
    backup: Backup = None,
    no_backup: NoBackup = False,
    note: Note = "",
    yes: Yes = False,
    connection_string_file: ConnectionFile = None,
    hub: HubHost = None,
    auth: Auth = "key",
    output: Output = Format.TABLE,
) -> None:
    """Plan a change, show it, and send it to IoT Hub. It is a twin patch, set modules or an automatic deployment.

    Example: edge-expose apply two-tier.yaml --wait --timeout 120
    """
    allowed = parse_allow(allow or [])
    check_is_digest(expect)
    inventory = read_inventory(fleet) if fleet else None
    if device or every_device:
        target = connect(connection_string_file, hub, auth)
        plans, refused = plans_of(target, file, inventory, device or [], every_device)
        if output is Format.TABLE or dry_run:
            show_each(plans, output, details=details)
        check_expected_each(plans, expect)
        if not dry_run:
            who = operator(backup, note, keep=not no_backup)
            _apply_each(target, plans, refused, who, allowed, yes, timeout if wait else None, output)
        elif refused:
            raise typer.Exit(1)
        return
    source = read_source(file)
    loaded = spec_from_source(source, inventory)
    spec = require_spec(loaded)
    target = connect(connection_string_file, hub, auth)

    def planner() -> Plan:
        with source.locating():
            return make_plan(target, spec, os.environ, inventory, loaded.findings)

    made, done = carry_out(
        target,
        planner,
        output,
        dry_run=dry_run,
        details=details,
        backup=backup,
        no_backup=no_backup,
        yes=yes,
        allowed=allowed,
        expect=expect,
        note=note,
    )
    if done is None:
        return
    who = operator(backup, note, keep=not no_backup)
    result: WaitResult | None = None
    if spec.target.device is not None:
        result = follow(target, spec, timeout) if wait else None
        if result is not None and 0 < result.held_back <= allowed.get("removals", 0):
            # The operator has allowed it already, and the device asks for exactly that word.
            apply_plan(target, plan_release(target, spec.target.device), who)
            say(f"{spec.target.device} held {result.held_back} removals back; confirmed because of --allow")
            result = follow(target, spec, timeout)
        elif result is None and any(danger.kind == "removals" for danger in made.dangers):
            say(f"the device may hold the removal back: {release_hint(spec.target.device)}")
    elif wait:
        result = follow(target, spec, timeout, lambda devices: _write_sites(target, spec, inventory, who))
    else:
        _write_sites(target, spec, inventory, who)
    report(made, done, result, timeout, output)


def _apply_each(
    hub: Hub,
    plans: list[DevicePlan],
    refused: list[DeviceOutcome],
    who: Operator,
    allowed: dict[str, int],
    yes: bool,
    timeout: float | None,
    output: Format,
) -> None:
    outcomes = [*refused, *do_each(hub, plans, who, allowed, yes)]
    failed = {item.device_id for item in outcomes if item.problem is not None}
    reached = [item for item in plans if item.device_id not in failed]
    waited = [follow(hub, item.of.spec, timeout) for item in reached] if timeout is not None else []
    if output is not Format.TABLE:
        results = [
            {"deviceId": item.device_id, "result": item.done, "error": item.problem.message if item.problem else None}
            for item in outcomes
        ]
        data({**each_json(plans), "results": results}, output)
    exit_code(outcomes, waited)


def _write_sites(hub: Hub, spec: Spec, inventory: Inventory | None, who: Operator) -> None:
    """Devices that the deployment reached just now have our module's identity now, and not before."""
    written = write_sites(hub, spec, inventory, who)
    if len(written) > 5:
        say(f"site written on {len(written)} devices")
    else:
        for device in written:
            say(f"site written on {device}")

"""The command that withdraws one exposure from one device: unexpose."""

from __future__ import annotations

from typing import Annotated

import typer

from edge_expose_cloud.cli.shared.app import new_app
from edge_expose_cloud.cli.shared.carry_out import Allow, Backup, Details, DryRun, NoBackup, carry_out
from edge_expose_cloud.cli.shared.errors import guarded
from edge_expose_cloud.cli.shared.follow import Timeout, follow_exposures, report
from edge_expose_cloud.cli.shared.options import (
    Auth,
    ConnectionFile,
    Device,
    HubHost,
    Note,
    Output,
    UsageProblem,
    Yes,
    connect,
    parse_allow,
)
from edge_expose_cloud.cli.shared.output import Format
from edge_expose_cloud.usecases.expose import plan_unexpose
from edge_expose_cloud.usecases.release import plan_release

app = new_app()


@app.command()
@guarded
def unexpose(
    device: Device,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Name of the exposure.")] = None,
    held_back: Annotated[
        bool, typer.Option("--held-back", help="Instead of NAME: confirm the removal that the device holds back.")
    ] = False,
    allow: Allow = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until the device has removed it; exit 3 on timeout.")
    ] = False,
    timeout: Timeout = 300.0,
    dry_run: DryRun = False,
    details: Details = False,
    backup: Backup = None,
    no_backup: NoBackup = False,
    note: Note = "",
    yes: Yes = False,
    connection_string_file: ConnectionFile = None,
    hub: HubHost = None,
    auth: Auth = "key",
    output: Output = Format.TABLE,
) -> None:
    """Withdraw one exposure from one device by patching its module twin.

    With --held-back, confirm a removal that the device holds back.

    Example: edge-expose unexpose edge1 web
    """
    if (name is None) != held_back:
        raise UsageProblem("give the NAME of an exposure or --held-back, one of them", "edge-expose unexpose edge1 web")
    allowed = parse_allow(allow or [])
    target = connect(connection_string_file, hub, auth)
    made, done = carry_out(
        target,
        lambda: plan_release(target, device) if name is None else plan_unexpose(target, device, name),
        output,
        dry_run=dry_run,
        details=details,
        backup=backup,
        no_backup=no_backup,
        yes=yes,
        allowed=allowed,
        note=note,
    )
    if done is not None:
        report(made, done, follow_exposures(target, device, [], timeout) if wait else None, timeout, output)

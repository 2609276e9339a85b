"""The command that declares one exposure on one device: expose."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from edge_expose_cloud.cli.shared.app import new_app
from edge_expose_cloud.cli.shared.carry_out import Backup, Details, DryRun, NoBackup, carry_out
from edge_expose_cloud.cli.shared.errors import guarded
from edge_expose_cloud.cli.shared.exposure_options import with_exposure_options
from edge_expose_cloud.cli.shared.follow import Timeout, follow_exposures, report
from edge_expose_cloud.cli.shared.options import (
    Auth,
    ConnectionFile,
    Device,
    ExposureName,
    HubHost,
    Note,
    Output,
    Yes,
    connect,
)
from edge_expose_cloud.cli.shared.output import Format
from edge_expose_cloud.usecases.expose import plan_expose

app = new_app()


@app.command()
@guarded
@with_exposure_options
def expose(
    device: Device,
    name: ExposureName,
    *,
    fields: dict[str, Any],
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the exposure is Ready; exit 3 on timeout.")] = False,
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
    """Declare one exposure on one device by patching its module twin.

    Example: edge-expose expose edge1 api --module webserver --port 8081:80
    """
    target = connect(connection_string_file, hub, auth)
    made, done = carry_out(
        target,
        lambda: plan_expose(target, device, name, fields),
        output,
        dry_run=dry_run,
        details=details,
        backup=backup,
        no_backup=no_backup,
        yes=yes,
        note=note,
    )
    if done is not None:
        result = follow_exposures(target, device, [name], timeout) if wait else None
        report(made, done, result, timeout, output)

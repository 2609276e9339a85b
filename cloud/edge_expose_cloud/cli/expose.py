"""The command that declares one exposure on one device: expose."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from edge_expose_cloud.cli.shared.carry_out import Backup, Details, DryRun, NoBackup, carry_out
from edge_expose_cloud.cli.shared.errors import guarded
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

app = typer.Typer(add_completion=False)


@app.command()
@guarded
def expose(
    device: Device,
    name: ExposureName,
    port: Annotated[
        list[str],
        typer.Option("--port", "-p", metavar="[PUBLISHED:]TARGET[/PROTO]", help="May be given several times."),
    ],
    module: Annotated[
        str | None, typer.Option("--module", "-m", help="IoT Edge module whose pods get the traffic.")
    ] = None,
    selector: Annotated[
        list[str] | None, typer.Option("--selector", metavar="K=V", help="Pod label; may be given several times.")
    ] = None,
    endpoint: Annotated[
        list[str] | None, typer.Option("--endpoint", metavar="IP", help="Address of a workload beside the cluster.")
    ] = None,
    address: Annotated[str | None, typer.Option("--address", metavar="IP", help="External service IP to hold.")] = None,
    type_: Annotated[str | None, typer.Option("--type", help="LoadBalancer (default) or ClusterIP.")] = None,
    share: Annotated[
        str | None, typer.Option("--share", metavar="KEY", help="Share one address among exposures of this key.")
    ] = None,
    pool: Annotated[str | None, typer.Option("--pool", help="Address pool to draw from.")] = None,
    allow_from: Annotated[
        list[str] | None, typer.Option("--allow-from", metavar="CIDR", help="Client network that may connect.")
    ] = None,
    hostname: Annotated[str | None, typer.Option("--hostname", help="DNS name for external-dns.")] = None,
    namespace: Annotated[str | None, typer.Option("--namespace", help="Namespace of the Service.")] = None,
    expires: Annotated[
        str | None, typer.Option("--expires", metavar="TIME", help="RFC 3339 time at which it is removed.")
    ] = None,
    probe: Annotated[
        str | None, typer.Option("--probe", metavar="tcp|/PATH", help="How the module checks the exposed address.")
    ] = None,
    adopt: Annotated[bool, typer.Option("--adopt", help="Take over a Service of this name that nobody owns.")] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until the exposure is Ready; exit 3 when the time is up.")
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
    """Declare one exposure on one device by patching its module twin.

    Example: edge-expose expose edge1 api --module webserver --port 8081:80
    """
    fields: dict[str, Any] = {
        "module": module,
        "selector": selector or None,
        "endpoints": endpoint or None,
        "type": type_,
        "ports": port,
        "address": address,
        "share": share,
        "pool": pool,
        "allowFrom": allow_from or None,
        "hostname": hostname,
        "namespace": namespace,
        "expires": expires,
        "probe": probe,
        "adopt": True if adopt else None,
    }
    target = connect(connection_string_file, hub, auth)
    wanted = {key: value for key, value in fields.items() if value is not None}
    made, done = carry_out(
        target,
        lambda: plan_expose(target, device, name, wanted),
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

"""Commands that patch one twin by hand: expose, unexpose."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from edge_expose_cloud.cli.carrying_out import Allow, Backup, DryRun, carry_out
from edge_expose_cloud.cli.following import Timeout, follow_exposures, report
from edge_expose_cloud.cli.guarding import guarded
from edge_expose_cloud.cli.options import (
    Auth,
    ConnectionFile,
    HubHost,
    Note,
    Output,
    UsageProblem,
    Yes,
    connect,
    parse_allow,
)
from edge_expose_cloud.cli.output import Format
from edge_expose_cloud.usecases.exposing import plan_expose, plan_unexpose
from edge_expose_cloud.usecases.releasing import plan_release

app = typer.Typer(add_completion=False)

Device = Annotated[str, typer.Argument(metavar="DEVICE")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the exposure; its Service is called so.")]


@app.command()
@guarded
def expose(
    device: Device,
    name: Name,
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
    backup: Backup = None,
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
    made, findings = plan_expose(
        target, device, name, {key: value for key, value in fields.items() if value is not None}
    )
    done = carry_out(target, made, output, findings, dry_run=dry_run, backup=backup, yes=yes, note=note)
    if done is not None:
        result = follow_exposures(target, device, [name], timeout) if wait else None
        report(made, done, findings, result, timeout, output)


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
        bool, typer.Option("--wait", help="Wait until the device has taken it away; exit 3 when the time is up.")
    ] = False,
    timeout: Timeout = 300.0,
    dry_run: DryRun = False,
    backup: Backup = None,
    note: Note = "",
    yes: Yes = False,
    connection_string_file: ConnectionFile = None,
    hub: HubHost = None,
    auth: Auth = "key",
    output: Output = Format.TABLE,
) -> None:
    """Withdraw one exposure from one device by patching its module twin; or let a removal go on that it holds back.

    Example: edge-expose unexpose edge1 web
    """
    if (name is None) != held_back:
        raise UsageProblem("give the NAME of an exposure or --held-back, one of them", "edge-expose unexpose edge1 web")
    allowed = parse_allow(allow or [])
    target = connect(connection_string_file, hub, auth)
    made = plan_release(target, device) if name is None else plan_unexpose(target, device, name)
    done = carry_out(target, made, output, dry_run=dry_run, backup=backup, yes=yes, allowed=allowed, note=note)
    if done is not None:
        report(made, done, [], follow_exposures(target, device, [], timeout) if wait else None, timeout, output)

"""The command that shows what devices report: status."""

from __future__ import annotations

from typing import Annotated

import typer

from edge_expose_cloud.cli.shared.app import new_app
from edge_expose_cloud.cli.shared.errors import guarded
from edge_expose_cloud.cli.shared.options import Auth, ConnectionFile, HubHost, Output, UsageProblem, connect
from edge_expose_cloud.cli.shared.output import Format, data, escape, exposures_table, out, say, table
from edge_expose_cloud.plan.ownership import OwnedKey, key_owners
from edge_expose_cloud.status.device import read_status
from edge_expose_cloud.status.explain import REASON_HINTS
from edge_expose_cloud.status.fleet import DeviceStatus

app = new_app()
Device = Annotated[str | None, typer.Argument(metavar="[DEVICE]", help="Device id. Default: all devices.")]


@app.command()
@guarded
def status(
    device: Device = None,
    owners: Annotated[
        bool, typer.Option("--owners", help="With DEVICE: show who set each key of its twin, and whether it lasts.")
    ] = False,
    connection_string_file: ConnectionFile = None,
    hub: HubHost = None,
    auth: Auth = "key",
    output: Output = Format.TABLE,
) -> None:
    """Show the exposures of one device, or of every device with the module.

    Example: edge-expose status edge1 -o json
    """
    target = connect(connection_string_file, hub, auth)
    if not owners:
        show(read_status(target, device), output)
    elif device is None:
        raise UsageProblem("--owners needs a DEVICE", "edge-expose status edge1 --owners")
    else:
        _show_owners(device, key_owners(target, device), output)


def _show_owners(device: str, keys: list[OwnedKey], output: Format) -> None:
    if output is not Format.TABLE:
        data({"deviceId": device, "keys": [key.to_json() for key in keys]}, output)
        return
    rows = []
    for key in keys:
        over = f" over {', '.join(key.losers)}" if key.losers else ""
        setter = f"deployment {key.owner}{over}" if key.owner else ""
        if key.overwritten:
            lasts = "no: the deployment sets another value"
        else:
            lasts = "the deployment sets it again" if key.owner else "until somebody edits it"
        rows.append([escape(text) for text in (key.path, setter or "the twin itself", key.updated or "-", lasts)])
    out().print(table(("KEY", "SET BY", "AT", "LASTS"), rows, title=f"Device {escape(device)}"))


def show(statuses: list[DeviceStatus], output: Format) -> None:
    if output is not Format.TABLE:
        data({"devices": [item.to_json() for item in statuses]}, output)
        return
    if not statuses:
        say("no device has the edge-expose module")
    for item in statuses:
        out().print(exposures_table(item.exposures, device=item.device_id, last_known=item.last_known))
        if item.health.attention or item.health.state == "Offline":
            why = f": {item.health.why}" if item.health.why else ""
            out().print(f"! {item.health.state}{why}", markup=False, soft_wrap=True)
        for warning in item.warnings:
            out().print(f"! {warning}", markup=False, soft_wrap=True)
        if item.note:
            out().print(item.note, markup=False, soft_wrap=True)
        if item.pool:
            pool = item.pool
            out().print(
                f"pool {pool.get('ranges', '')}: {pool.get('used')} used, {pool.get('reserved')} reserved, "
                f"{pool.get('free')} free of {pool.get('size')}",
                markup=False,
            )
            if pool.get("reason"):
                hint = REASON_HINTS.get(str(pool["reason"]), "")
                out().print(f"{pool['reason']}: {hint}", markup=False, soft_wrap=True)
        unreadable = item.health.state == "Cluster unreadable"
        if item.code is not None and item.code != 200 and not unreadable:
            out().print(f"the module answered {item.code}: {item.description}", markup=False, soft_wrap=True)
        if item.reported_version is not None and item.reported_version != item.desired_version:
            out().print(f"the module has seen version {item.reported_version} of {item.desired_version}", markup=False)

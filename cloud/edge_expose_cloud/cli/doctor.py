"""The command that looks for what is wrong: doctor."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

import typer

from edge_expose_cloud.cli.shared.app import new_app
from edge_expose_cloud.cli.shared.errors import guarded
from edge_expose_cloud.cli.shared.options import Auth, ConnectionFile, HubHost, Output, connect
from edge_expose_cloud.cli.shared.output import Format, data, escape, out
from edge_expose_cloud.status.doctor import Check, examine_device, examine_hub

app = new_app()
_MARKS = {"ok": "[green]✓[/green]", "wrong": "[red]✗[/red]", "unknown": "[yellow]?[/yellow]"}


@app.command()
@guarded
def doctor(
    device: Annotated[str | None, typer.Argument(metavar="[DEVICE]", help="Device to check as well.")] = None,
    connection_string_file: ConnectionFile = None,
    hub: HubHost = None,
    auth: Auth = "key",
    output: Output = Format.TABLE,
) -> None:
    """Check rights, module, cluster, load balancer and clock, and say what to do. Exit 1 when something is wrong.

    Example: edge-expose doctor edge1
    """
    target = connect(connection_string_file, hub, auth)
    checks = list(examine_hub(target))
    if device is not None and not any(check.verdict == "wrong" for check in checks):
        checks += examine_device(target, device, dt.datetime.now(dt.UTC))
    if output is not Format.TABLE:
        data({"checks": [check.to_json() for check in checks]}, output)
    else:
        for check in checks:
            _show(check)
    if any(check.verdict == "wrong" for check in checks):
        raise typer.Exit(1)


def _show(check: Check) -> None:
    out().print(f"{_MARKS[check.verdict]} {escape(check.name)}: {escape(check.found)}", soft_wrap=True)
    if check.hint:
        out().print(f"    try: {escape(check.hint)}", soft_wrap=True)

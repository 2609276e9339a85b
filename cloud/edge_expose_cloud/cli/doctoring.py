"""Commands for when something is wrong: doctor, support-bundle."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Annotated

import typer

from edge_expose_cloud.adapters.files import write_private
from edge_expose_cloud.cli.guarding import guarded
from edge_expose_cloud.cli.options import Auth, ConnectionFile, HubHost, Output, connect
from edge_expose_cloud.cli.output import Format, data, escape, out, say
from edge_expose_cloud.usecases.bundling import support_bundle
from edge_expose_cloud.usecases.doctoring import Check, examine_device, examine_hub

app = typer.Typer(add_completion=False)
_MARKS = {"ok": "[green]✓[/green]", "wrong": "[red]✗[/red]", "unknown": "[yellow]?[/yellow]"}


@app.command()
@guarded
def doctor(
    device: Annotated[str | None, typer.Argument(metavar="[DEVICE]", help="Also look at this device.")] = None,
    connection_string_file: ConnectionFile = None,
    hub: HubHost = None,
    auth: Auth = "key",
    output: Output = Format.TABLE,
) -> None:
    """Check rights, module, cluster, load balancer and clock; say what to do. Exit 1 when something is wrong.

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


@app.command(name="support-bundle")
@guarded
def support_bundle_command(
    device: Annotated[str, typer.Argument(metavar="DEVICE")],
    file: Annotated[
        Path | None, typer.Option("--file", metavar="FILE", help="Where it goes; DEVICE-support.json without.")
    ] = None,
    connection_string_file: ConnectionFile = None,
    hub: HubHost = None,
    auth: Auth = "key",
) -> None:
    """Write a file with twins, checks and the module's log of one device. Passwords and env values stay out of it.

    Example: edge-expose support-bundle edge1 --file edge1.json
    """
    target = connect(connection_string_file, hub, auth)
    body = support_bundle(target, device, dt.datetime.now(dt.UTC))
    path = file or Path(f"{device}-support.json")
    written = write_private(path.parent, path.name, json.dumps(body, indent=2, sort_keys=True) + "\n")
    say(f"written: {written}")

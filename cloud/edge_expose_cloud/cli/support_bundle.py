"""The command that collects what a helper needs to see: support-bundle."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Annotated

import typer

from edge_expose_cloud.adapters.files import write_private
from edge_expose_cloud.cli.shared.app import new_app
from edge_expose_cloud.cli.shared.errors import guarded
from edge_expose_cloud.cli.shared.options import Auth, ConnectionFile, HubHost, connect
from edge_expose_cloud.cli.shared.output import say
from edge_expose_cloud.status.support_bundle import support_bundle

app = new_app()


@app.command(name="support-bundle")
@guarded
def support_bundle_command(
    device: Annotated[str, typer.Argument(metavar="DEVICE")],
    file: Annotated[
        Path | None, typer.Option("--file", metavar="FILE", help="File to write. Default: DEVICE-support.json.")
    ] = None,
    connection_string_file: ConnectionFile = None,
    hub: HubHost = None,
    auth: Auth = "key",
) -> None:
    """Write a file with the twins, checks and module log of one device.

    It holds no password and no value of an environment.

    Example: edge-expose support-bundle edge1 --file edge1.json
    """
    target = connect(connection_string_file, hub, auth)
    body = support_bundle(target, device, dt.datetime.now(dt.UTC))
    path = file or Path(f"{device}-support.json")
    written = write_private(path.parent, path.name, json.dumps(body, indent=2, sort_keys=True) + "\n")
    say(f"written: {written}")

"""The command that prints a line for each change: watch."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from edge_expose_cloud.cli.shared.app import new_app
from edge_expose_cloud.cli.shared.errors import guarded
from edge_expose_cloud.cli.shared.options import Auth, ConnectionFile, HubHost, Output, connect, seconds
from edge_expose_cloud.cli.shared.output import Format, escape, out, say, state_text
from edge_expose_cloud.hub.api import HubError
from edge_expose_cloud.status.device import read_status

app = new_app()
Device = Annotated[str | None, typer.Argument(metavar="[DEVICE]", help="Device id. Default: all devices.")]


@app.command()
@guarded
def watch(
    device: Device = None,
    interval: Annotated[
        float, typer.Option("--interval", metavar="SECONDS", min=0.5, callback=seconds, help="Pause between two polls.")
    ] = 2.0,
    count: Annotated[int | None, typer.Option("--count", metavar="N", min=1, help="Stop after N polls.")] = None,
    connection_string_file: ConnectionFile = None,
    hub: HubHost = None,
    auth: Auth = "key",
    output: Output = Format.TABLE,
) -> None:
    """Print a line for every change of an exposure until Ctrl-C. With -o json each line is one object.

    Example: edge-expose watch edge1
    """
    import json

    target = connect(connection_string_file, hub, auth)
    seen: dict[tuple[str, str], str] = {}
    looks = 0
    while True:
        try:
            statuses = read_status(target, device)
        except HubError as error:
            if not error.is_transient:
                raise
            say(error.message)
            statuses = []
        for item in statuses:
            gone = [key for key in seen if key[0] == item.device_id and key[1] not in item.exposures]
            entries = {**item.exposures, **{key[1]: {"state": "Gone"} for key in gone}}
            for name, entry in sorted(entries.items()):
                text = json.dumps(entry, sort_keys=True)
                if seen.get((item.device_id, name)) == text:
                    continue
                seen[item.device_id, name] = text
                if output is not Format.TABLE:
                    typer.echo(json.dumps({"deviceId": item.device_id, "exposure": name, **entry}))
                    continue
                moment = time.strftime("%H:%M:%S")
                reason = ": ".join(part for part in (entry.get("reason"), entry.get("message")) if part)
                who, where = escape(f"{item.device_id}/{name}"), escape(entry.get("address") or "-")
                line = f"{moment} {who} {state_text(str(entry['state']))} {where} {escape(reason)}"
                out().print(line, soft_wrap=True)
            for key in gone:
                del seen[key]
        looks += 1
        if count is not None and looks >= count:
            return
        time.sleep(interval)

"""Commands that look at devices: status, watch, explain."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from edge_expose_cloud.cli.guarding import guarded
from edge_expose_cloud.cli.options import Auth, ConnectionFile, HubHost, Output, UsageProblem, connect, seconds
from edge_expose_cloud.cli.output import Format, data, escape, exposures_table, out, say, state_text, table
from edge_expose_cloud.fleet_status import DeviceStatus
from edge_expose_cloud.hub import Hub, HubError
from edge_expose_cloud.usecases.explaining import REASON_HINTS
from edge_expose_cloud.usecases.owning import OwnedKey, who_wins
from edge_expose_cloud.usecases.status import device_status, fleet_status

app = typer.Typer(add_completion=False)
Device = Annotated[str | None, typer.Argument(metavar="[DEVICE]", help="Device id; all devices without it.")]


@app.command()
@guarded
def status(
    device: Device = None,
    owners: Annotated[
        bool, typer.Option("--owners", help="With DEVICE: who set each key of its twin, and whether that lasts.")
    ] = False,
    connection_string_file: ConnectionFile = None,
    hub: HubHost = None,
    auth: Auth = "key",
    output: Output = Format.TABLE,
) -> None:
    """Show the exposures of one device, or of every device that has the module.

    Example: edge-expose status edge1 -o json
    """
    target = connect(connection_string_file, hub, auth)
    if not owners:
        show(_read(target, device), output)
    elif device is None:
        raise UsageProblem("--owners needs a DEVICE", "edge-expose status edge1 --owners")
    else:
        _show_owners(device, who_wins(target, device), output)


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


def _read(hub: Hub, device: str | None) -> list[DeviceStatus]:
    return [device_status(hub, device)] if device is not None else fleet_status(hub)


def show(statuses: list[DeviceStatus], output: Format) -> None:
    if output is not Format.TABLE:
        data({"devices": [item.to_json() for item in statuses]}, output)
        return
    if not statuses:
        say("no device has the edge-expose module")
    for item in statuses:
        out().print(exposures_table(item.exposures, device=item.device_id))
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
        if item.code is not None and item.code != 200:
            out().print(f"the module answered {item.code}: {item.description}", markup=False, soft_wrap=True)
        if item.reported_version is not None and item.reported_version != item.desired_version:
            out().print(f"the module has seen version {item.reported_version} of {item.desired_version}", markup=False)


@app.command()
@guarded
def watch(
    device: Device = None,
    interval: Annotated[
        float, typer.Option("--interval", metavar="SECONDS", min=0.5, callback=seconds, help="Pause between two looks.")
    ] = 2.0,
    count: Annotated[int | None, typer.Option("--count", metavar="N", min=1, help="Stop after N looks.")] = None,
    connection_string_file: ConnectionFile = None,
    hub: HubHost = None,
    auth: Auth = "key",
    output: Output = Format.TABLE,
) -> None:
    """Print a line for every change of an exposure until Ctrl-C. JSON is one object a line.

    Example: edge-expose watch edge1
    """
    import json

    target = connect(connection_string_file, hub, auth)
    seen: dict[tuple[str, str], str] = {}
    looks = 0
    while True:
        try:
            statuses = _read(target, device)
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


@app.command()
@guarded
def explain(
    exposure: Annotated[str, typer.Argument(metavar="DEVICE/EXPOSURE", help="Which exposure.")],
    ask: Annotated[
        bool, typer.Option("--ask/--no-ask", help="Also ask the module itself, when it is connected.")
    ] = True,
    connection_string_file: ConnectionFile = None,
    hub: HubHost = None,
    auth: Auth = "key",
    output: Output = Format.TABLE,
) -> None:
    """Say step by step why an exposure is in its state, and what to try.

    Example: edge-expose explain edge1/web
    """
    from edge_expose_cloud.usecases.explaining import explain_exposure

    device, slash, name = exposure.partition("/")
    if not slash or not device or not name:
        raise UsageProblem(f"{exposure!r} is not DEVICE/EXPOSURE", "edge-expose explain edge1/web")
    found = explain_exposure(connect(connection_string_file, hub, auth), device, name, ask=ask)
    if output is not Format.TABLE:
        data(found.to_json(), output)
        return
    marks = {"ok": "[green]✓[/green]", "wrong": "[red]✗[/red]", "unknown": "[yellow]?[/yellow]"}
    out().print(f"{escape(exposure)}: {state_text(found.state)}")
    for step in found.steps:
        out().print(f"  {marks[step.verdict]} {escape(step.question)} {escape(step.answer)}", soft_wrap=True)
        if step.hint:
            out().print(f"      try: {escape(step.hint)}", soft_wrap=True)

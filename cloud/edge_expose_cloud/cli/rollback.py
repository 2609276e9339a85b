"""The command that goes back: rollback."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from edge_expose_cloud.adapters.files import backups_of, read_backups
from edge_expose_cloud.adapters.sealing import seal_of
from edge_expose_cloud.adapters.texts import read_text
from edge_expose_cloud.cli.shared.app import new_app
from edge_expose_cloud.cli.shared.carry_out import (
    Allow,
    Backup,
    Details,
    DryRun,
    NoBackup,
    backup_folder,
    carry_out,
    done_json,
)
from edge_expose_cloud.cli.shared.errors import guarded
from edge_expose_cloud.cli.shared.options import (
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
from edge_expose_cloud.cli.shared.output import Format, data, escape, out, say, table
from edge_expose_cloud.findings.finding import Finding
from edge_expose_cloud.findings.problems import InputError, Refused
from edge_expose_cloud.hub.api import Hub, Json
from edge_expose_cloud.plan.backups import content_of, hub_of, parse_name
from edge_expose_cloud.usecases.rollback import history, plan_promotion, plan_restore

app = new_app()


@app.command()
@guarded
def rollback(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Name of the spec whose earlier deployment is promoted.")
    ] = None,
    to: Annotated[
        str | None, typer.Option("--to", metavar="ID", help="Deployment to promote. Default: the last one.")
    ] = None,
    device: Annotated[str | None, typer.Option("--device", help="Restore the last backup of this device.")] = None,
    backup_file: Annotated[
        str | None, typer.Option("--from", metavar="FILE", help="With --device: this backup instead of the newest.")
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="List what can be restored; change nothing.")] = False,
    dry_run: DryRun = False,
    details: Details = False,
    allow: Allow = None,
    backup: Backup = None,
    no_backup: NoBackup = False,
    note: Note = "",
    yes: Yes = False,
    connection_string_file: ConnectionFile = None,
    hub: HubHost = None,
    auth: Auth = "key",
    output: Output = Format.TABLE,
) -> None:
    """Return to an earlier deployment, or restore a device from its backup.

    Example: edge-expose rollback north-dashboard --list
    """
    if (name is None) == (device is None):
        raise UsageProblem("give the NAME of a spec, or --device, one of them", "edge-expose rollback north-dashboard")
    allowed = parse_allow(allow or [])
    folder = backup_folder(backup)
    if list_:
        _list(None if name is None else connect(connection_string_file, hub, auth), name, device, folder, output)
        return
    target = connect(connection_string_file, hub, auth)
    content = _content(target, folder, str(device), backup_file) if name is None else {}
    made, done = carry_out(
        target,
        lambda: plan_promotion(target, name, to) if name is not None else plan_restore(target, str(device), content),
        output,
        dry_run=dry_run,
        details=details,
        backup=backup,
        no_backup=no_backup,
        yes=yes,
        allowed=allowed,
        question="Go back on",
        note=note,
    )
    if done is not None and output is not Format.TABLE:
        data(done_json(made, done), output)


def _content(hub: Hub, folder: Path, device: str, chosen: str | None) -> Json:
    if chosen is None:
        found = read_backups(folder, device, hub.host, seal_of(os.environ))
        if not found:
            raise Refused(
                f"there is no backup of device {device} of {hub.host} in {folder}",
                "name a file with --from, or a folder with --backup",
            )
        say(f"from {folder / found[0].name}")
        return found[0].content
    text = read_text(chosen)
    if isinstance(text, Finding):
        raise InputError([text])
    text = seal_of(os.environ).open(text)
    content = content_of(text)
    if content is None:
        raise UsageProblem(f"{chosen} is no backup: it is no JSON with modulesContent", "choose another file")
    named, of = parse_name(Path(chosen).name), hub_of(text)
    if named is not None and named[0] != device:
        say(f"! {chosen} is a backup of device {named[0]}")
    if of not in ("", hub.host):
        say(f"! {chosen} is a backup of the hub {of}")
    return content


def _list(hub: Hub | None, name: str | None, device: str | None, folder: Path, output: Format) -> None:
    if hub is None or name is None:
        paths = [str(path) for path in backups_of(folder, str(device))]
        if output is not Format.TABLE:
            data({"backups": paths}, output)
            return
        for path in paths:
            typer.echo(path)
        if not paths:
            say(f"no backup of device {device} in {folder}")
        return
    found = history(hub, name)
    if output is not Format.TABLE:
        data({"deployments": [item.to_json() for item in found]}, output)
        return
    rows = [
        (
            escape(item.id),
            "live" if item.live else "kept",
            escape(item.condition),
            escape(item.by),
            escape(item.at),
            escape(item.note),
        )
        for item in found
    ]
    out().print(table(("DEPLOYMENT", "STATE", "CONDITION", "APPLIED BY", "AT", "NOTE"), rows))
    if not found:
        say(f"the hub has no deployment of a spec named {name}")

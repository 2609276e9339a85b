"""What every command that changes something does with a plan: show it, check it, ask, do it, say what was done."""

from __future__ import annotations

import datetime as dt
import getpass
import os
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

import typer

from edge_expose_cloud.adapters.files import state_folder, write_backup
from edge_expose_cloud.adapters.sealing import seal_of
from edge_expose_cloud.cli.shared.options import confirm
from edge_expose_cloud.cli.shared.output import Format, say
from edge_expose_cloud.cli.shared.plan_output import show_plan
from edge_expose_cloud.hub.api import Hub, Json
from edge_expose_cloud.plan.model import Plan
from edge_expose_cloud.usecases.apply import apply_plan, check_conflicts, check_dangers, check_expected
from edge_expose_cloud.usecases.operator import Operator

Allow = Annotated[
    list[str] | None,
    typer.Option(
        "--allow", metavar="KIND=N", help="Allow a dangerous plan: removals=N, moves=N, modules=N, retarget=1."
    ),
]
Backup = Annotated[
    Path | None,
    typer.Option("--backup", metavar="DIR", help="Folder for the backup. Default: in the state folder."),
]
NoBackup = Annotated[
    bool, typer.Option("--no-backup", help="Write no backup. (A backup holds the secrets that the device is given.)")
]
Details = Annotated[bool, typer.Option("--details", help="Also show each field that changes, by its path.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the plan and send nothing.")]


def carry_out(
    hub: Hub,
    planner: Callable[[], Plan],
    output: Format,
    *,
    dry_run: bool,
    backup: Path | None,
    yes: bool,
    allowed: Mapping[str, int] | None = None,
    expect: str | None = None,
    question: str = "Apply this to",
    note: str = "",
    details: bool = False,
    no_backup: bool = False,
) -> tuple[Plan, str | None]:
    """The plan, and what was done in one sentence; None for a dry run. InputError for a plan with a conflict, Refused
    for one that is dangerous or not what was expected."""
    made = planner()
    if output is Format.TABLE or dry_run:
        show_plan(made, output, details=details)
    check_expected(made, expect)
    check_conflicts(made)
    if dry_run:
        return made, None
    check_dangers(made, allowed or {})
    if made.changes:
        confirm(f"{question} {made.target}?", yes)
    done = apply_plan(hub, made, operator(backup, note, keep=not no_backup), planner)
    say(done)
    return made, done


def done_json(made: Plan, done: str) -> Json:
    """The plan, and what became of it."""
    return {**made.to_json(), "applied": bool(made.changes), "result": done}


def backup_folder(chosen: Path | None) -> Path:
    """Where backups of devices are kept."""
    return chosen or state_folder(dict(os.environ)) / "backups"


def operator(backup: Path | None, note: str = "", *, keep: bool = True) -> Operator:
    """This user on this machine; `keep` says whether backups are written. Raises KeyFileError."""
    seal = seal_of(os.environ)

    def save(name: str, text: str) -> str:
        path = write_backup(backup_folder(backup), name, text, seal)
        say(f"backup: {path}")
        return str(path)

    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "somebody"
    return Operator(
        f"{user}@{socket.gethostname()}",
        lambda: dt.datetime.now(dt.UTC),
        save if keep else None,
        os.getpid(),
        _is_alive,
        note,
    )


def _is_alive(pid: int) -> bool:
    """Whether a process of this machine runs under this number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True

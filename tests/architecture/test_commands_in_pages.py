"""Every `edge-expose` command that a page names exists, with the options that it is given."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest
import typer

from edge_expose_cloud.cli import app

ROOT = Path(__file__).resolve().parents[2]
#: in the running text, or at the start of a line of a block
_NAMED = re.compile(r"`(edge-expose [^`]*)`|^(?:\$ |sudo )?(edge-expose .*?)(?: +#.*)?$", re.M)


def pages() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [page for page in listed.stdout.split() if not page.startswith("docs/reference/")]


def commands_of(group: Any) -> list[str]:
    return list(group.list_commands(click.Context(group))) if hasattr(group, "list_commands") else []


def wrong(text: str) -> str:
    """What is wrong with a command; "" for one that is there."""
    values_filled_in = re.sub(r"\"?\$\([^)]*\)\"?", "VALUE", text)
    words = shlex.split(re.sub(r"[<>|&;\[\]()].*", "", values_filled_in), comments=True)[1:]
    command: Any = typer.main.get_command(app)
    known = {"-h", "--help", "--version"}
    for word in words:
        known |= {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        below = commands_of(command)
        if word.startswith("-"):
            if word.split("=")[0] not in known:
                return f"{word} is no option of {command.name}"
        elif word in below:
            command = command.get_command(click.Context(command), word)
        elif below and not command.invoke_without_command and re.fullmatch(r"[a-z-]+", word):
            return f"{word} is no command"
    return ""


@pytest.mark.parametrize("page", pages())
def test_commands_that_a_page_names_are_there(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8").replace("\\\n", " ")
    named = [first or second for first, second in _NAMED.findall(text)]
    assert [(command, why) for command in named if (why := wrong(command))] == []


def test_a_command_or_an_option_that_is_not_there_is_found() -> None:
    assert wrong("edge-expose status edge1 --owners") == ""
    assert wrong("edge-expose expose edge1 web --expires \"$(date -u -d '+2 hours' +%FT%TZ)\" --yes") == ""
    assert wrong('edge-expose expose edge1 web --expires "$(date)" --yess')
    assert wrong("edge-expose statsu edge1")
    assert wrong("edge-expose status edge1 --ownerz")

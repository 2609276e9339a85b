"""Every command of the command line, with its text, example and parameters as they are written."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Any


def commands() -> Iterator[tuple[str, Any]]:
    """Full name and click command, in the order of the help; groups only where they are commands themselves."""
    import click
    import typer

    from edge_expose_cloud.cli import app

    def walk(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
        names: list[str] = command.list_commands(click.Context(command)) if hasattr(command, "list_commands") else []
        if not names or command.invoke_without_command:
            yield " ".join(("edge-expose", *path)), command
        for name in names:
            yield from walk(command.get_command(click.Context(command), name), (*path, name))

    yield from walk(typer.main.get_command(app), ())


def text_and_example(command: Any) -> tuple[str, str]:
    """The help of the command without line breaks, and its example ("" if there is none)."""
    text, _, example = " ".join((command.help or "").split()).partition("Example: ")
    return text.strip(), example.strip()


def names_and_value(parameter: Any) -> tuple[list[str], str]:
    """How an option or argument is written: its names, and what stands for its value ("" for a flag)."""
    if parameter.param_type_name != "option":
        return [parameter.metavar or parameter.name.upper()], ""
    names = [*parameter.opts, *parameter.secondary_opts]
    if parameter.is_flag:
        return names, ""
    if isinstance(parameter.default, Enum):
        return names, "|".join(member.value for member in type(parameter.default))
    return names, parameter.metavar or ("N" if isinstance(parameter.default, int | float) else "TEXT")

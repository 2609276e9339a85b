"""The options of a command that declares an exposure: one for each field, made from the contract's table."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from edge_expose_contract.fields import FIELDS, Field

_SHORT = {"module": "-m", "ports": "-p"}


def with_exposure_options(command: Callable[..., None]) -> Callable[..., None]:
    """The command with an option for each field instead of its parameter `fields`: what was given, by name."""
    signature = inspect.signature(command, eval_str=True)
    parameters: list[inspect.Parameter] = []
    for parameter in signature.parameters.values():
        parameters += map(_parameter, FIELDS) if parameter.name == "fields" else [parameter]

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        given = {field.name: kwargs.pop(_key(field)) for field in FIELDS}
        command(*args, fields={name: value for name, value in given.items() if value not in (None, [])}, **kwargs)

    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def _key(field: Field) -> str:
    return f"field_{(field.attribute or field.name).lower()}"


def _parameter(field: Field) -> inspect.Parameter:
    option = typer.Option(
        field.option,
        *([_SHORT[field.name]] if field.name in _SHORT else []),
        help=field.option_help,
        metavar=field.metavar or None,
    )
    kinds: dict[str, Any] = {"list": list[str] | None, "ports": list[str], "flag": bool | None}
    kind = kinds.get(field.kind, str | None)
    default = inspect.Parameter.empty if field.kind == "ports" else None
    return inspect.Parameter(
        _key(field), inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, option]
    )

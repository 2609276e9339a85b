"""Options that many commands share, and how the hub is reached from them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_expose_cloud.cli.shared.output import Format, say
from edge_expose_cloud.findings.problems import Refused

if TYPE_CHECKING:
    from edge_expose_cloud.hub.api import Hub

Output = Annotated[Format, typer.Option("--output", "-o", help="Output format.", show_default=True)]
Fleet = Annotated[
    str | None, typer.Option("--fleet", metavar="FILE", help="Inventory with devices, ranges and variables.")
]
Device = Annotated[str, typer.Argument(metavar="DEVICE")]
ExposureName = Annotated[str, typer.Argument(metavar="NAME", help="Name of the exposure and of its Service.")]
SpecFile = Annotated[str, typer.Argument(metavar="FILE", help="A spec (YAML), or - for stdin.")]
ConnectionFile = Annotated[
    str | None,
    typer.Option(
        "--connection-string-file",
        metavar="FILE",
        help="File with the IoT Hub connection string. Default: IOTHUB_CONNECTION_STRING.",
    ),
]
HideValues = Annotated[
    bool,
    typer.Option("--hide-values", help="Replace every value that may be a secret by a reference, ${env:NAME}."),
]
HubHost = Annotated[str | None, typer.Option("--hub", metavar="HOST", help="IoT Hub host name, for --auth entra.")]
Auth = Annotated[
    str,
    typer.Option(
        "--auth", metavar="key|entra", help="Sign in by connection string (key) or Microsoft Entra ID (entra)."
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Apply without a prompt. (Without a terminal there is none.)")]


def _note(text: str) -> str:
    if not text:
        return text
    from edge_expose_cloud.usecases.operator import is_too_long
    from edge_expose_contract.models import NOTE_BYTES

    if is_too_long(text):
        raise typer.BadParameter(f"the note is longer than {NOTE_BYTES} bytes; shorten it")
    return text


Note = Annotated[
    str,
    typer.Option(
        "--note",
        metavar="TEXT",
        callback=_note,
        help="Reason for the change; kept in the device's history.",
    ),
]

Connect = Callable[[str | None, str | None, str], "Hub"]


class UsageProblem(Exception):
    """Wrong arguments or settings (exit 2)."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def seconds(value: float) -> float:
    """A time that can be waited for: the callback of options in seconds."""
    if not 0 <= value <= 86400:
        raise typer.BadParameter(f"{value:g} is not a number of seconds from 0 to 86400 (a day)")
    return value


def connect(connection_file: str | None, host: str | None, auth: str) -> Hub:
    """The hub of these options and the environment, made by the factory of this run (`HUB_FACTORY`)."""
    return HUB_FACTORY.get()(connection_file, host, auth)


def connect_iothub(connection_file: str | None, host: str | None, auth: str) -> Hub:
    """IoT Hub through its SDK, which is imported only here."""
    if auth not in ("key", "entra"):
        raise UsageProblem(f"--auth {auth!r} is not known", "key or entra")
    if auth == "entra" and not host:
        raise UsageProblem("--auth entra needs the hub's host name", "add --hub NAME.azure-devices.net")
    text = None if auth == "entra" else _connection_string(connection_file)
    if text is not None and host and host.lower() not in (meant := _host_of(text)):
        raise UsageProblem(
            f"--hub {host} is not the hub of the connection string ({meant[0] or 'which names none'})",
            "leave --hub out, give the connection string of that hub, or sign in with --auth entra",
        )
    from edge_expose_cloud.adapters.files import state_folder
    from edge_expose_cloud.adapters.iothub import Credentials, IotHub, Pace, Patience
    from edge_expose_cloud.adapters.pace_file import SharedWindow
    from edge_expose_cloud.hub.api import HubError, HubProblem

    credentials = Credentials(connection_string=text, host=host, ca_file=os.environ.get("EDGE_EXPOSE_HUB_CA") or None)
    pace = Pace(
        _units(),
        told=lambda what, seconds: say(f"waiting {seconds:.0f} s: quota of {what} calls of this hub"),
        shared=SharedWindow(state_folder(dict(os.environ)), host or (text or "").partition(";")[0]),
    )
    first_pause = _setting("EDGE_EXPOSE_RETRY_SECONDS", 10.0, 0.01, 60.0)
    patience = Patience(first_pause=first_pause, server_error_pause=min(1.0, first_pause))
    try:
        return IotHub(credentials, patience, pace)
    except HubError as error:
        if error.problem is HubProblem.UNAUTHORIZED:
            raise
        # No call was made yet: what is wrong is what it was given.
        raise UsageProblem(error.message, error.hint) from error


def _host_of(connection_string: str) -> tuple[str, str]:
    """Host name of the hub, and the same without a port."""
    fields = dict(part.partition("=")[::2] for part in connection_string.strip().split(";"))
    host = fields.get("HostName", "").lower()
    return host, host.partition(":")[0]


def _units() -> int:
    """How many S1 units the hub has, for the pace of calls."""
    return int(_setting("EDGE_EXPOSE_HUB_UNITS", 1, 1, 200))


def _setting(name: str, default: float, least: float, most: float) -> float:
    text = os.environ.get(name, "").strip()
    try:
        value = float(text) if text else default
    except ValueError:
        value = -1.0
    if not least <= value <= most:
        raise UsageProblem(f"{name}={text!r} cannot be", f"leave it out, or write {least:g} to {most:g}")
    return value


def _connection_string(connection_file: str | None) -> str:
    if connection_file is not None:
        try:
            return Path(connection_file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageProblem(
                f"the connection string file {connection_file} cannot be read", "check the path and its permissions"
            ) from error
    text = os.environ.get("IOTHUB_CONNECTION_STRING", "").strip()
    if not text:
        raise UsageProblem(
            "no IoT Hub is given",
            "set IOTHUB_CONNECTION_STRING, or use --connection-string-file FILE, or --hub HOST --auth entra",
        )
    return text


#: how commands reach a hub; a program that embeds the command line may set another factory
HUB_FACTORY: ContextVar[Connect] = ContextVar("HUB_FACTORY", default=connect_iothub)


def check_is_digest(text: str | None) -> None:
    """Raises UsageProblem for what no plan can have as its digest."""
    if text is not None and not re.fullmatch(r"[0-9a-fA-F]{8,64}", text):
        raise UsageProblem(
            f"--expect {text!r} is no digest of a plan", "copy it from the output of plan, at least eight characters"
        )


_KINDS = ("removals", "moves", "modules", "retarget")


def parse_allow(values: list[str]) -> dict[str, int]:
    """`removals=3` -> {"removals": 3}."""
    allowed: dict[str, int] = {}
    for value in values:
        kind, equals, count = value.partition("=")
        if not equals or not (count.isascii() and count.isdigit()):
            raise UsageProblem(f"--allow {value!r} cannot be read", "write it like --allow removals=3")
        if kind.strip() not in _KINDS:
            raise UsageProblem(f"--allow {value!r}: nothing is called {kind.strip()!r}", f"one of {', '.join(_KINDS)}")
        allowed[kind.strip()] = int(count)
    return allowed


def confirm(question: str, yes: bool) -> None:
    """Asks at a terminal; elsewhere, and with --yes, goes on."""
    import sys

    if yes or not sys.stdin.isatty():
        return
    if not typer.confirm(question, err=True):
        raise Refused("not applied", "")

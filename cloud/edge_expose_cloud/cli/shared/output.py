"""Data on stdout, talk on stderr; tables, JSON and YAML. Colour is never the only carrier of meaning."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TextIO

from edge_expose_cloud.findings.finding import Finding

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_MARKS = {"error": ("✗", "red"), "warning": ("!", "yellow"), "info": ("i", "blue")}
_STATES = {
    "Ready": ("●", "green"),
    "Pending": ("◌", "yellow"),
    "Blocked": ("✗", "red"),
    "Failed": ("✗", "red"),
    "Expired": ("○", "dim"),
    "Disabled": ("○", "dim"),
    "Predicted": ("?", "blue"),
}
_C1 = {code: f"\\u{code:04x}" for code in range(0x7F, 0xA0)}
VISIBLE = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\t\n"}
_TRAILING = re.compile(r"[ \t]+(?=\n|\Z)")
_SHOWN_URLS = 8


class Format(StrEnum):
    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


class PlanFormat(StrEnum):
    """A plan can also be a comment for people who review it."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    MARKDOWN = "markdown"


def out() -> Screen:
    """Stdout."""
    return Screen(sys.stdout)


def err() -> Screen:
    return Screen(sys.stderr)


class Screen:
    """A stream that is written line by line or in tables. What draws tables and colours takes as long to load as a
    command to run: a line in a pipe does without it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def line(self, text: str, mark: str = "", colour: str = "") -> None:
        """One line as it is, however long; `mark` stands before it, coloured on a terminal."""
        if _draws(self._stream) or "\t" in text:
            from edge_expose_cloud.cli.shared.terminal import marked

            self.console.print(marked(text, mark, colour), soft_wrap=True)
            return
        whole = (f"{mark} {text}" if mark else text).translate(VISIBLE)
        self._stream.write(without_trailing_blanks(whole + "\n"))
        self._stream.flush()

    def print(self, what: str | Table, **options: Any) -> None:
        """Markup, or a table."""
        self.console.print(what, **options)

    @property
    def console(self) -> Console:
        from edge_expose_cloud.cli.shared.terminal import console_on

        return console_on(self._stream)


def _draws(stream: TextIO) -> bool:
    """Whether colours may be wanted there: at a terminal, or where the environment says so."""
    return stream.isatty() or bool(os.environ.get("FORCE_COLOR") or os.environ.get("TTY_COMPATIBLE"))


def without_trailing_blanks(text: str) -> str:
    """Tables fill their lines with blanks: a pipe has no use for them."""
    return _TRAILING.sub("", text)


def one_line(text: str) -> str:
    return " ".join(text.splitlines())


def escape(text: str) -> str:
    """Text from outside as markup of one line."""
    from rich.markup import escape as escape_markup

    return escape_markup(one_line(text))


def say(text: str) -> None:
    """One line of talk."""
    err().line(text)


def data(value: Any, form: Format) -> None:
    """JSON or YAML on stdout."""
    sys.stdout.write(to_text(value, form))
    sys.stdout.flush()


def to_text(value: Any, form: Format) -> str:
    if form is Format.YAML:
        from edge_expose_cloud.spec.text.yaml_writer import yaml_text

        return yaml_text(value)
    return json.dumps(value, indent=2, ensure_ascii=False).translate(_C1) + "\n"


def show_findings(findings: Sequence[Finding], screen: Screen) -> None:
    """file:line, what, rule, what to try; one finding in two lines."""
    for item in findings:
        mark, colour = _MARKS[item.severity]
        place = f"{item.file}:{item.line}" if item.line else item.file
        where = ": ".join(part for part in (place, item.path) if part)
        text = one_line(f"{where}: {item.message} [{item.rule}]" if where else f"{item.message} [{item.rule}]")
        screen.line(text, f"{mark} {item.severity}", colour)
        if item.hint:
            screen.line(f"    try: {one_line(item.hint)}")


def show_error(message: str, hint: str = "") -> None:
    """What went wrong, and what to try."""
    err().line(one_line(message), "✗ error", "red")
    if hint:
        err().line(f"    try: {one_line(hint)}")


def count_words(findings: Iterable[Finding]) -> str:
    """`2 errors, 1 warning`."""
    counts: dict[str, int] = {}
    for item in findings:
        counts[item.severity] = counts.get(item.severity, 0) + 1
    words = [
        f"{counts[kind]} {kind}{'s' if counts[kind] != 1 and kind != 'info' else ''}"
        for kind in ("error", "warning", "info")
        if kind in counts
    ]
    return ", ".join(words) or "no violations"


def state_text(state: str) -> str:
    mark, colour = _STATES.get(state, ("?", "white"))
    return f"[{colour}]{mark} {escape(state)}[/{colour}]"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str | None = None) -> Table:
    """A plain table; cells are markup, so callers escape what comes from outside."""
    from edge_expose_cloud.cli.shared.terminal import drawn

    return drawn(columns, rows, title)


def exposures_table(
    exposures: Mapping[str, Mapping[str, Any]], *, device: str | None = None, last_known: bool = False
) -> Table:
    """State, external address, ports, Service and reason of each exposure, as now or as `last_known`."""
    from edge_expose_cloud.plan.port_text import folded_ports

    rows = []
    for name, entry in sorted(exposures.items()):
        reason = entry.get("reason") or ""
        message = entry.get("message") or ""
        rows.append(
            (
                escape(name),
                state_text(str(entry.get("state", "?"))),
                escape(str(entry.get("address") or ("none (ClusterIP)" if entry.get("type") == "ClusterIP" else "-"))),
                escape(folded_ports(entry.get("ports") or []) or "-"),
                escape(str(entry.get("service") or "-")),
                escape(f"{reason}: {message}" if reason and message else reason or message),
            )
        )
    return table(
        ("EXPOSURE", "STATE", "EXTERNAL ADDRESS", "PORTS", "SERVICE", "REASON"),
        rows,
        title=f"Device {escape(device)}{', last known' if last_known else ''}" if device else None,
    )


def url_lines(exposures: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """`web: http://ADDRESS:PORT` for each TCP port of an exposure that has its external address."""
    lines = []
    for name, entry in sorted(exposures.items()):
        if entry.get("state") != "Ready" or entry.get("type") == "ClusterIP" or not entry.get("address"):
            continue
        for address in str(entry["address"]).split(","):
            host = f"[{address.strip()}]" if ":" in address else address.strip()
            for port in entry.get("ports") or []:
                published, _, protocol = str(port).partition("/")
                number = published.partition(":")[0]
                if protocol in ("", "tcp") and number.isdigit():
                    lines.append(f"{name}: http://{host}:{number}")
    if len(lines) > _SHOWN_URLS:
        return [*lines[:_SHOWN_URLS], f"and {len(lines) - _SHOWN_URLS} more ports"]
    return lines


def print_spec(spec: dict[str, Any], findings: list[Finding], output: Format) -> None:
    show_findings(findings, err())
    data(spec, Format.YAML if output is Format.TABLE else output)

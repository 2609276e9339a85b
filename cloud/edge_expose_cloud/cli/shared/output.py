"""Data on stdout, talk on stderr; tables, JSON and YAML. Colour is never the only carrier of meaning."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import IO, Any, cast

from rich.console import Console
from rich.markup import escape as escape_markup
from rich.table import Table
from rich.text import Text

from edge_expose_cloud.findings.finding import Finding
from edge_expose_cloud.plan.port_text import folded_ports

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
_PIPE_WIDTH = 160
_C1 = {code: f"\\u{code:04x}" for code in range(0x7F, 0xA0)}
_VISIBLE = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\t\n"}
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


def out() -> Console:
    """Stdout. A pipe gets a fixed width, so that tables are not cut at 80 columns."""
    return _console(sys.stdout)


def err() -> Console:
    return _console(sys.stderr)


class _Trimmed:
    """A stream that drops the blanks with which tables fill their lines: a pipe has no use for them."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(re.sub(r"[ \t]+(?=\n|\Z)", "", text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Console(Console):
    """Shows control characters instead of sending them: what a device reports must not steer a terminal."""

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(text.translate(_VISIBLE), **options)


def escape(text: str) -> str:
    """Text from outside as markup of one line."""
    return escape_markup(" ".join(text.splitlines()))


def _console(stream: Any) -> Console:
    narrow = not getattr(stream, "isatty", lambda: False)()
    return _Console(
        file=cast("IO[str]", _Trimmed(stream)) if narrow else stream,
        highlight=False,
        soft_wrap=False,
        width=_PIPE_WIDTH if narrow and "COLUMNS" not in os.environ else None,
    )


def say(text: str) -> None:
    """One line of talk."""
    err().print(escape_markup(text), soft_wrap=True)


def data(value: Any, form: Format) -> None:
    """JSON or YAML on stdout."""
    sys.stdout.write(to_text(value, form))
    sys.stdout.flush()


def to_text(value: Any, form: Format) -> str:
    if form is Format.YAML:
        from edge_expose_cloud.spec.yaml_writer import yaml_text

        return yaml_text(value)
    return json.dumps(value, indent=2, ensure_ascii=False).translate(_C1) + "\n"


def show_findings(findings: Sequence[Finding], console: Console) -> None:
    """file:line, what, rule, what to try; one finding in two lines."""
    for item in findings:
        mark, colour = _MARKS[item.severity]
        place = f"{item.file}:{item.line}" if item.line else item.file
        where = ": ".join(part for part in (place, item.path) if part)
        text = escape(f"{where}: {item.message} [{item.rule}]" if where else f"{item.message} [{item.rule}]")
        head = f"[{colour}]{mark} {item.severity}[/{colour}] {text}"
        console.print(head, soft_wrap=True)
        if item.hint:
            console.print(f"    try: {escape(item.hint)}", soft_wrap=True)


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
    return ", ".join(words) or "nothing found"


def state_text(state: str) -> str:
    mark, colour = _STATES.get(state, ("?", "white"))
    return f"[{colour}]{mark} {escape(state)}[/{colour}]"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str | None = None) -> Table:
    """A plain table; cells are markup, so callers escape what comes from outside."""
    made = Table(
        *columns, title=title, title_justify="left", box=None, pad_edge=False, header_style="bold", show_edge=False
    )
    for row in rows:
        made.add_row(*row)
    for column in made.columns:
        column.overflow = "fold"
    return made


def exposures_table(exposures: Mapping[str, Mapping[str, Any]], *, device: str | None = None) -> Table:
    """State, external address, ports, Service and reason of each exposure."""
    rows = []
    for name, entry in sorted(exposures.items()):
        reason = entry.get("reason") or ""
        message = entry.get("message") or ""
        rows.append(
            (
                escape(name),
                state_text(str(entry.get("state", "?"))),
                escape(str(entry.get("address") or ("in the cluster" if entry.get("type") == "ClusterIP" else "-"))),
                escape(folded_ports(entry.get("ports") or []) or "-"),
                escape(str(entry.get("service") or "-")),
                escape(f"{reason}: {message}" if reason and message else reason or message),
            )
        )
    return table(
        ("EXPOSURE", "STATE", "EXTERNAL ADDRESS", "PORTS", "SERVICE", "REASON"),
        rows,
        title=f"Device {escape(device)}" if device else None,
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
